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

#include "layer_runner.h"
#include "llama_workspace.h"
#include "phase_timer.h"
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

/// One forward pass, or one forward and backward pass.
class Llama::Pass {
 public:
  /// KernelSet::forward: backward() will not follow.
  Pass(Llama& model, KernelSet set, const data::Sample& sample, std::span<const float> parameters, StepTimes& times);

  /// Up to the logits.
  void forward();
  /// Mean cross-entropy; unless `grad_scale` is 0 the logits become their gradient times it.
  [[nodiscard]] double loss(float grad_scale);
  /// Adds to `gradients`. Ends early after an overflow.
  void backward(std::span<float> gradients);

  /// The first overflow, in words.
  [[nodiscard]] const std::optional<std::string>& overflow() const noexcept { return runner_.overflow(); }

 private:
  void embed();
  void forward_layer(std::size_t layer);
  void classify();

  void backward_classifier();
  void backward_ffn(std::size_t layer);
  void backward_attention(std::size_t layer);
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
  LayerRunner runner_;
};

Llama::Pass::Pass(Llama& model, KernelSet set, const data::Sample& sample, std::span<const float> parameters,
                  StepTimes& times)
    : config_(model.config_),
      layout_(model.layout_),
      threads_(model.engine_.threads),
      work_(*model.workspace_),
      inputs_(std::span(sample.tokens).first(config_.seq_len)),
      targets_(std::span(sample.tokens).subspan(1)),
      parameters_(parameters),
      times_(times),
      runner_(model.kernels_, model.engine_, set, times) {}

// ---- Forward

void Llama::Pass::forward() {
  embed();
  for (std::size_t layer = 0; layer < config_.layers; ++layer) forward_layer(layer);
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

void Llama::Pass::forward_layer(std::size_t layer) {
  Workspace::Layer& work = work_.layers[layer];
  const std::vector<float>& x = work_.stream[layer];
  std::vector<float>& y = work_.stream[layer + 1];

  normalize(x, in_layer(layer, "attention_norm"), work.attn_in, work.attn_r);
  runner_.run(Phase::attention_forward, layer, {{"xn", work.attn_in}}, {{"o", work.middle}});
  add_residual(x, work.middle);

  normalize(work.middle, in_layer(layer, "ffn_norm"), work.ffn_in, work.ffn_r);
  runner_.run(Phase::ffn_forward, layer, {{"xn", work.ffn_in}}, {{"y", y}});
  add_residual(work.middle, y);
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
  runner_.check_loss(loss);
  return loss;
}

// ---- Backward

void Llama::Pass::backward(std::span<float> gradients) {
  gradients_ = gradients;
  if (overflow()) return;
  backward_classifier();
  for (std::size_t layer = config_.layers; layer-- > 0 && !overflow();) {
    backward_ffn(layer);
    backward_attention(layer);
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

void Llama::Pass::backward_ffn(std::size_t layer) {
  const Workspace::Layer& work = work_.layers[layer];
  runner_.run(Phase::ffn_backward, layer, {{"dy", work_.dx}},
              {{"gate", work_.gate}, {"dh1", work_.dh1}, {"dh3", work_.dh3}, {"dxn", work_.dnorm}});
  accumulate(in_layer(layer, "feed_forward.w2"), work_.dx, work_.gate);
  accumulate(in_layer(layer, "feed_forward.w1"), work_.dh1, work.ffn_in);
  accumulate(in_layer(layer, "feed_forward.w3"), work_.dh3, work.ffn_in);
  backward_norm(work.middle, in_layer(layer, "ffn_norm"), work.ffn_r);
}

void Llama::Pass::backward_attention(std::size_t layer) {
  const Workspace::Layer& work = work_.layers[layer];
  runner_.run(Phase::attention_backward, layer, {{"do", work_.dx}},
              {{"attn", work_.attn}, {"dq", work_.dq}, {"dk", work_.dk}, {"dv", work_.dv}, {"dxn", work_.dnorm}});
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
  Pass pass(*this, KernelSet::training, sample, parameters, times);
  pass.forward();
  const double loss = pass.loss(loss_scale);
  pass.backward(gradients);
  return {loss, pass.overflow()};
}

StepResult Llama::evaluate(const data::Sample& sample, std::span<const float> parameters, StepTimes& times) {
  check_sample(sample, config_);
  Pass pass(*this, KernelSet::forward, sample, parameters, times);
  pass.forward();
  const double loss = pass.loss(0);
  return {loss, pass.overflow()};
}

}  // namespace ane::model
