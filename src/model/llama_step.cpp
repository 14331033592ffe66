#include <algorithm>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "ane/core/error.h"
#include "ane/math/gemm.h"
#include "ane/math/nn.h"
#include "ane/model/llama.h"

#include "llama_workspace.h"
#include "phase_timer.h"
#include "step_io.h"
#include "weight_gradient.h"

namespace ane::model {

namespace {

constexpr std::size_t kChannelGrain = 64;

std::string in_layer(std::size_t layer, std::string_view role) {
  return fmt::format("layers.{}.{}.weight", layer, role);
}

void check_sample(const data::Sample& sample, const LlamaConfig& config) {
  if (sample.tokens.size() != config.seq_len + 1)
    throw Error(fmt::format("a sample has {} tokens, expected {}", sample.tokens.size(), config.seq_len + 1));
  for (const data::Token token : sample.tokens)
    if (token >= config.vocab)
      throw Error(fmt::format("a sample holds token {}, but the vocabulary has {}", token, config.vocab));
}

}  // namespace

/// One forward pass, or one forward and backward pass. Holds the surfaces that live longer than a kernel.
class Llama::Pass {
 public:
  Pass(Llama& model, const data::Sample& sample, std::span<const float> parameters, StepTimes& times);

  /// Up to the logits. `keep_taps`: for backward().
  void forward(bool keep_taps);
  /// Mean cross-entropy; unless `grad_scale` is 0 the logits become their gradient times it.
  [[nodiscard]] double loss(float grad_scale);
  /// Adds to `gradients`. Ends early after an overflow.
  void backward(std::span<float> gradients);

  /// The first overflow, in words.
  [[nodiscard]] const std::optional<std::string>& overflow() const noexcept { return io_.overflow(); }

 private:
  /// Outputs of the forward kernels of one layer.
  struct Taps {
    PackedSurface attn, ffn;
  };

  void embed();
  [[nodiscard]] Taps forward_layer(std::size_t layer);
  void classify();

  void backward_classifier();
  void backward_ffn(std::size_t layer, const PackedSurface& forward);
  void backward_attention(std::size_t layer, const PackedSurface& forward);
  void backward_embedding();

  void normalize(std::span<const float> x, std::string_view weight, std::span<float> y, std::span<float> r);
  void backward_norm(std::span<const float> x, std::string_view weight, std::span<const float> r);
  void add_residual(std::span<const float> x, std::span<float> y);
  void accumulate(std::string_view weight, std::span<const float> dy, std::span<const float> x);

  [[nodiscard]] std::span<const float> weights(std::string_view name) const;
  [[nodiscard]] std::span<float> gradient(std::string_view name) const;
  [[nodiscard]] std::string_view classifier() const;

  const LlamaConfig& config_;
  const ParameterLayout& layout_;
  math::ThreadPool& threads_;
  Workspace& work_;
  std::span<const data::Token> inputs_;
  std::span<const data::Token> targets_;
  std::span<const float> parameters_;
  std::span<float> gradients_;
  StepTimes& times_;
  StepIo io_;
  std::vector<Taps> taps_;
};

Llama::Pass::Pass(Llama& model, const data::Sample& sample, std::span<const float> parameters, StepTimes& times)
    : config_(model.config_),
      layout_(model.layout_),
      threads_(model.engine_.threads),
      work_(*model.workspace_),
      inputs_(std::span(sample.tokens).first(config_.seq_len)),
      targets_(std::span(sample.tokens).subspan(1)),
      parameters_(parameters),
      times_(times),
      io_(model.kernels_, model.engine_, times) {
  taps_.reserve(config_.layers);
}

// ---- Forward

void Llama::Pass::forward(bool keep_taps) {
  embed();
  for (std::size_t layer = 0; layer < config_.layers; ++layer) {
    Taps taps = forward_layer(layer);
    if (keep_taps) taps_.push_back(std::move(taps));
  }
  classify();
}

void Llama::Pass::embed() {
  const PhaseTimer timer(times_.elementwise);
  const std::span<const float> table = weights("tok_embeddings.weight");
  std::vector<float>& x = work_.stream.front();
  const std::size_t seq_len = config_.seq_len;
  threads_.parallel_for(config_.dim, kChannelGrain, [&](math::Range channels) {
    for (std::size_t channel = channels.begin; channel < channels.end; ++channel)
      for (std::size_t position = 0; position < seq_len; ++position)
        x[channel * seq_len + position] = table[inputs_[position] * config_.dim + channel];
  });
}

Llama::Pass::Taps Llama::Pass::forward_layer(std::size_t layer) {
  Workspace::Layer& work = work_.layers[layer];
  const std::vector<float>& x = work_.stream[layer];
  std::vector<float>& y = work_.stream[layer + 1];

  normalize(x, in_layer(layer, "attention_norm"), work.attn_in, work.attn_r);
  PackedSurface attn_input = io_.input_of("attn_fwd", layer);
  io_.write(attn_input, "xn", work.attn_in);
  PackedSurface attn = io_.run(attn_input);
  io_.read(attn, "o", work.middle);
  add_residual(x, work.middle);

  normalize(work.middle, in_layer(layer, "ffn_norm"), work.ffn_in, work.ffn_r);
  PackedSurface ffn_input = io_.input_of("ffn_fwd", layer);
  io_.write(ffn_input, "xn", work.ffn_in);
  PackedSurface ffn = io_.run(ffn_input);
  io_.read(ffn, "y", y);
  add_residual(work.middle, y);
  return {std::move(attn), std::move(ffn)};
}

void Llama::Pass::classify() {
  normalize(work_.stream.back(), "norm.weight", work_.final_in, work_.final_r);
  const PhaseTimer timer(times_.classifier);
  math::gemm(config_.seq_len, config_.vocab, config_.dim, 1,
             {work_.final_in.data(), config_.seq_len, math::Transpose::yes},
             {weights(classifier()).data(), config_.dim, math::Transpose::yes}, 0, work_.logits.data(), config_.vocab,
             threads_);
}

double Llama::Pass::loss(float grad_scale) {
  const PhaseTimer timer(times_.elementwise);
  const double loss = math::cross_entropy(work_.logits, targets_, grad_scale, threads_);
  io_.check_loss(loss);
  return loss;
}

// ---- Backward

void Llama::Pass::backward(std::span<float> gradients) {
  gradients_ = gradients;
  if (overflow()) return;
  backward_classifier();
  for (std::size_t layer = config_.layers; layer-- > 0 && !overflow();) {
    backward_ffn(layer, taps_[layer].ffn);
    backward_attention(layer, taps_[layer].attn);
    taps_.pop_back();
  }
  if (!overflow()) backward_embedding();
}

void Llama::Pass::backward_classifier() {
  const std::size_t seq_len = config_.seq_len;
  const std::size_t dim = config_.dim;
  const std::size_t vocab = config_.vocab;
  {
    const PhaseTimer timer(times_.classifier);
    const math::MatrixOperand dlogits{work_.logits.data(), vocab, math::Transpose::yes};  // [V, S]
    math::gemm(vocab, dim, seq_len, 1, dlogits, {work_.final_in.data(), seq_len, math::Transpose::yes}, 1,
               gradient(classifier()).data(), dim, threads_);
    math::gemm(dim, seq_len, vocab, 1, {weights(classifier()).data(), dim, math::Transpose::yes}, dlogits, 0,
               work_.dnorm.data(), seq_len, threads_);
  }
  std::fill(work_.dx.begin(), work_.dx.end(), 0.0F);
  backward_norm(work_.stream.back(), "norm.weight", work_.final_r);
}

void Llama::Pass::backward_ffn(std::size_t layer, const PackedSurface& forward) {
  const Workspace::Layer& work = work_.layers[layer];
  PackedSurface input = io_.input_of("ffn_bwd", layer);
  io_.write(input, "dy", work_.dx);
  io_.copy(forward, {"h1", "h3"}, input);
  const PackedSurface output = io_.run(input);

  io_.read(forward, "gate", work_.gate);
  io_.read(output, "dh1", work_.dh1);
  io_.read(output, "dh3", work_.dh3);
  io_.read(output, "dxn", work_.dnorm);
  accumulate(in_layer(layer, "feed_forward.w2"), work_.dx, work_.gate);
  accumulate(in_layer(layer, "feed_forward.w1"), work_.dh1, work.ffn_in);
  accumulate(in_layer(layer, "feed_forward.w3"), work_.dh3, work.ffn_in);
  backward_norm(work.middle, in_layer(layer, "ffn_norm"), work.ffn_r);
}

void Llama::Pass::backward_attention(std::size_t layer, const PackedSurface& forward) {
  const Workspace::Layer& work = work_.layers[layer];
  PackedSurface input1 = io_.input_of("attn_bwd1", layer);
  io_.copy(forward, {"q", "k", "v"}, input1);
  io_.write(input1, "do", work_.dx);
  const PackedSurface output1 = io_.run(input1);

  PackedSurface input2 = io_.input_of("attn_bwd2", layer);
  io_.copy(output1, {"probs", "dp"}, input2);
  io_.copy(forward, {"q", "k"}, input2);
  const PackedSurface output2 = io_.run(input2);

  PackedSurface input3 = io_.input_of("qkv_bwd", layer);
  io_.copy(output2, {"dq", "dk"}, input3);
  io_.copy(output1, {"dv"}, input3);
  const PackedSurface output3 = io_.run(input3);

  io_.read(forward, "attn", work_.attn);
  io_.read(output2, "dq", work_.dq);
  io_.read(output2, "dk", work_.dk);
  io_.read(output1, "dv", work_.dv);
  io_.read(output3, "dxn", work_.dnorm);
  accumulate(in_layer(layer, "attention.wo"), work_.dx, work_.attn);
  accumulate(in_layer(layer, "attention.wq"), work_.dq, work.attn_in);
  accumulate(in_layer(layer, "attention.wk"), work_.dk, work.attn_in);
  accumulate(in_layer(layer, "attention.wv"), work_.dv, work.attn_in);
  backward_norm(work_.stream[layer], in_layer(layer, "attention_norm"), work.attn_r);
}

// A token that occurs several times sums its positions in order, whatever the thread.
void Llama::Pass::backward_embedding() {
  const PhaseTimer timer(times_.elementwise);
  const std::span<float> table = gradient("tok_embeddings.weight");
  const std::size_t seq_len = config_.seq_len;
  threads_.parallel_for(config_.dim, kChannelGrain, [&](math::Range channels) {
    for (std::size_t position = 0; position < seq_len; ++position) {
      const std::span<float> row = table.subspan(inputs_[position] * config_.dim, config_.dim);
      for (std::size_t channel = channels.begin; channel < channels.end; ++channel)
        row[channel] += work_.dx[channel * seq_len + position];
    }
  });
}

// ---- Parts

void Llama::Pass::normalize(std::span<const float> x, std::string_view weight, std::span<float> y, std::span<float> r) {
  const PhaseTimer timer(times_.rms_norm);
  math::rms_norm_forward(x, weights(weight), config_.norm_eps, y, r, threads_);
}

/// From the gradient of the normalised input to that of the residual stream, which it adds to.
void Llama::Pass::backward_norm(std::span<const float> x, std::string_view weight, std::span<const float> r) {
  const PhaseTimer timer(times_.rms_norm);
  math::rms_norm_backward(x, work_.dnorm, weights(weight), r, work_.dx, gradient(weight), threads_);
}

void Llama::Pass::add_residual(std::span<const float> x, std::span<float> y) {
  const PhaseTimer timer(times_.elementwise);
  math::add(x, y, threads_);
}

void Llama::Pass::accumulate(std::string_view weight, std::span<const float> dy, std::span<const float> x) {
  const PhaseTimer timer(times_.elementwise);
  accumulate_weight_gradient(*layout_.find(weight), dy, x, gradients_, threads_);
}

std::span<const float> Llama::Pass::weights(std::string_view name) const {
  return slice(parameters_, *layout_.find(name));
}

std::span<float> Llama::Pass::gradient(std::string_view name) const { return slice(gradients_, *layout_.find(name)); }

std::string_view Llama::Pass::classifier() const {
  return config_.tied_classifier ? "tok_embeddings.weight" : "output.weight";
}

StepResult Llama::step(const data::Sample& sample, std::span<const float> parameters, float loss_scale,
                       std::span<float> gradients, StepTimes& times) {
  check_sample(sample, config_);
  Pass pass(*this, sample, parameters, times);
  pass.forward(true);
  const double loss = pass.loss(loss_scale);
  pass.backward(gradients);
  return {loss, pass.overflow()};
}

StepResult Llama::evaluate(const data::Sample& sample, std::span<const float> parameters, StepTimes& times) {
  check_sample(sample, config_);
  Pass pass(*this, sample, parameters, times);
  pass.forward(false);
  const double loss = pass.loss(0);
  return {loss, pass.overflow()};
}

}  // namespace ane::model
