#include <algorithm>
#include <cassert>
#include <cmath>
#include <optional>
#include <span>
#include <variant>

#include <fmt/format.h>

#include "ane/core/error.h"
#include "ane/math/gemm.h"
#include "ane/math/nn.h"
#include "ane/model/llama.h"

#include "kernels/gradient_order.h"
#include "kernels/phase_timer.h"
#include "llama/workspace.h"

namespace ane::model {

namespace {

// Minimum number of embedding channels per thread.
std::size_t channel_grain(std::size_t seq_len) {
  constexpr std::size_t kElements = 16384;
  constexpr std::size_t kLine = 16;
  return std::max(kElements / seq_len, kLine);
}

// Rows of the classifier per gradient task.
constexpr std::size_t kClassifierPiece = 1024;

void check_sample(const data::Sample& sample, const ModelConfig& config) {
  if (sample.tokens.size() != config.seq_len + 1)
    throw Error(fmt::format("a sample has {} tokens, expected {}", sample.tokens.size(), config.seq_len + 1));
  if (!sample.loss_mask.empty() && sample.loss_mask.size() != config.seq_len)
    throw Error(fmt::format("a sample has a mask of {} targets, expected {}", sample.loss_mask.size(), config.seq_len));
  for (const data::Token token : sample.tokens)
    if (token >= config.vocab)
      throw Error(fmt::format("a sample holds token {}, but the vocabulary has {}", token, config.vocab));
}

/// The share of the targets that count.
double loss_share(const data::Sample& sample) {
  if (sample.loss_mask.empty()) return 1;
  const auto uncounted = std::ranges::count(sample.loss_mask, std::uint8_t{0});
  const auto targets = static_cast<double>(sample.loss_mask.size());
  return (targets - static_cast<double>(uncounted)) / targets;
}

}  // namespace

/// One forward pass, or one forward and backward pass.
class Llama::Pass {
 public:
  /// PassMode::forward: backward() will not be called.
  Pass(Llama& model, std::size_t slot, PassMode mode, const data::Sample& sample, std::span<const float> parameters,
       StepTimes& times);
  ~Pass();
  Pass(const Pass&) = delete;
  Pass& operator=(const Pass&) = delete;

  /// Runs up to the logits.
  void forward();
  /// The same for one position alone, whose logits [V] are written to `logits`.
  void forward(std::size_t position, std::span<float> logits);
  /// Mean cross-entropy over all positions, of which those that do not count contribute 0; unless `grad_scale` is 0,
  /// overwrites the logits with their gradient times `grad_scale`.
  [[nodiscard]] double loss(float grad_scale);
  /// Adds to `gradients`. Returns early after an overflow.
  void backward(std::span<float> gradients);

  /// Description of the first overflow.
  [[nodiscard]] const std::optional<std::string>& overflow() const noexcept { return work_.runner.overflow(); }

 private:
  void embed();
  void run_layers();
  template <class Row>
  void to_channel_first(const Row& row, std::span<float> to);
  void forward_stage(std::size_t layer, const Workspace::NormState& stage);
  void forward_stage(std::size_t layer, const Workspace::KernelState& stage);
  void classify();

  void backward_classifier();
  void backward_stage(std::size_t layer, const Workspace::NormState& stage);
  void backward_stage(std::size_t layer, const Workspace::KernelState& stage);
  void add_product(std::size_t layer, const GradientProduct& product);
  void report_gradients(std::size_t layer);
  void report_finished_layers();
  void backward_embedding();

  void normalize(std::span<const float> x, const Parameter& weight, std::span<float> y, std::span<float> r);
  void backward_norm(std::span<const float> x, const Parameter& weight, std::span<const float> r,
                     std::span<const float> base, std::span<float> dx);
  void accumulate_classifier();

  template <class Body>
  void for_classifier_pieces(const Body& body);

  /// Of a trained parameter or a vector.
  [[nodiscard]] std::span<const float> weights(const Parameter& tensor) const {
    return tensor.is_frozen ? work_.frozen->vector(tensor) : slice(parameters_, tensor);
  }
  /// Empty for a frozen parameter.
  [[nodiscard]] std::span<float> gradient(const Parameter& tensor) const {
    return tensor.is_frozen ? std::span<float>() : slice(gradients_, tensor);
  }

  const ModelConfig& config_;
  SpanListener* spans_;
  math::ThreadPool& threads_;
  std::size_t slot_;
  Workspace& work_;
  GradientOrder& order_;
  std::span<const data::Token> inputs_;
  std::span<const data::Token> targets_;
  std::span<const std::uint8_t> loss_mask_;
  std::span<const float> parameters_;
  std::span<float> gradients_;
  std::size_t classifier_pieces_ = 0;  ///< number of additions for the classifier, which come first
  /// Whom to tell about complete gradients; null unless this is the pass whose additions come last.
  GradientListener* listener_ = nullptr;
  GradientProducts::Ticket last_product_ = 0;
  std::size_t complete_;    ///< layers from this one on have made their additions ...
  std::size_t unreported_;  ///< ... of which those before this one have not been reported
  StepTimes& times_;
};

Llama::Pass::Pass(Llama& model, std::size_t slot, PassMode mode, const data::Sample& sample,
                  std::span<const float> parameters, StepTimes& times)
    : config_(model.config_),
      spans_(model.context_.spans),
      threads_(model.slots_[slot]->threads),
      slot_(slot),
      work_(*model.slots_[slot]),
      order_(*model.order_),
      inputs_(std::span(sample.tokens).first(config_.seq_len)),
      targets_(std::span(sample.tokens).subspan(1)),
      loss_mask_(sample.loss_mask),
      parameters_(parameters),
      listener_(slot + 1 == model.order_->running() ? model.gradient_listener_ : nullptr),
      complete_(config_.layers),
      unreported_(config_.layers),
      times_(times) {
  work_.runner.begin(mode, times);
}

Llama::Pass::~Pass() {
  work_.products.abandon();
  work_.runner.release();
  order_.leave(slot_);
}

// ---- Forward

void Llama::Pass::forward() {
  run_layers();
  classify();
}

void Llama::Pass::forward(std::size_t position, std::span<float> logits) {
  run_layers();
  const PhaseTimer timer(times_.classifier, spans_, "classifier");
  for_classifier_pieces([&](std::size_t first, std::size_t rows, std::span<const float> piece) {
    math::gemm(rows, 1, config_.dim, 1, {piece.data(), config_.dim},
               {work_.final_in.data() + position, config_.seq_len}, 0, logits.data() + first, 1, threads_);
  });
}

/// Up to the input of the classifier.
void Llama::Pass::run_layers() {
  embed();
  for (std::size_t layer = 0; layer < config_.layers; ++layer)
    for (const auto& stage : work_.layers[layer])
      std::visit([&](const auto& either) { forward_stage(layer, either); }, stage);
  normalize(work_.residual.back(), work_.norm, work_.final_in, work_.final_r);
}

void Llama::Pass::embed() {
  const PhaseTimer timer(times_.elementwise, spans_, "embedding");
  const std::size_t dim = config_.dim;
  if (!work_.embedding.is_frozen) {
    const std::span<const float> table = weights(work_.embedding);
    to_channel_first([&](std::size_t position) { return &table[inputs_[position] * dim]; }, work_.residual.front());
    return;
  }
  const std::span<float> rows = work_.dfinal_rows;  // not used before the backward pass
  for (std::size_t position = 0; position < inputs_.size(); ++position)
    work_.frozen->read_rows(work_.embedding, inputs_[position], rows.subspan(position * dim, dim));
  to_channel_first([&](std::size_t position) { return &rows[position * dim]; }, work_.residual.front());
}

/// to [D, S] from the D values at row(position) of each position.
template <class Row>
void Llama::Pass::to_channel_first(const Row& row, std::span<float> to) {
  const std::size_t seq_len = config_.seq_len;
  threads_.parallel_for(config_.dim, channel_grain(seq_len), [&](math::Range channels) {
    for (std::size_t channel = channels.begin; channel < channels.end; ++channel)
      for (std::size_t position = 0; position < seq_len; ++position)
        to[channel * seq_len + position] = row(position)[channel];
  });
}

void Llama::Pass::forward_stage(std::size_t /*layer*/, const Workspace::NormState& stage) {
  normalize(stage.input, *stage.weight, stage.output, stage.r);
}

void Llama::Pass::forward_stage(std::size_t layer, const Workspace::KernelState& stage) {
  work_.runner.run(stage.forward, layer, stage.forward_given, stage.forward_wanted);
}

void Llama::Pass::classify() {
  const PhaseTimer timer(times_.classifier, spans_, "classifier");
  for_classifier_pieces([&](std::size_t first, std::size_t rows, std::span<const float> piece) {
    math::gemm(config_.seq_len, rows, config_.dim, 1, {work_.final_in.data(), config_.seq_len, math::Transpose::yes},
               {piece.data(), config_.dim, math::Transpose::yes}, 0, work_.logits.data() + first, config_.vocab,
               threads_);
  });
}

/// Calls body(first row, number of rows, their weights) for all rows of the classifier: at once if it is trained, else
/// for as many as are read at a time.
template <class Body>
void Llama::Pass::for_classifier_pieces(const Body& body) {
  const Parameter& classifier = work_.classifier;
  if (!classifier.is_frozen) return body(std::size_t{0}, config_.vocab, weights(classifier));
  const std::size_t dim = config_.dim;
  for (std::size_t first = 0; first < config_.vocab; first += kFrozenRows) {
    const std::size_t rows = std::min(kFrozenRows, config_.vocab - first);
    const std::span<float> piece = work_.classifier_rows.first(rows * dim);
    threads_.parallel_for(rows, channel_grain(dim), [&](math::Range range) {
      work_.frozen->read_rows(classifier, first + range.begin, piece.subspan(range.begin * dim, range.size() * dim));
    });
    body(first, rows, std::span<const float>(piece));
  }
}

double Llama::Pass::loss(float grad_scale) {
  const PhaseTimer timer(times_.elementwise, spans_, "loss");
  const double loss = math::cross_entropy(work_.logits, targets_, grad_scale, work_.losses, threads_, loss_mask_);
  work_.runner.check_loss(loss);
  return loss;
}

// ---- Backward

void Llama::Pass::backward(std::span<float> gradients) {
  gradients_ = gradients;
  if (overflow()) return;
  backward_classifier();
  for (std::size_t layer = config_.layers; layer-- > 0 && !overflow();) {
    for (auto stage = work_.layers[layer].rbegin(); stage != work_.layers[layer].rend(); ++stage)
      std::visit([&](const auto& either) { backward_stage(layer, either); }, *stage);
    report_gradients(layer);
  }
  work_.products.wait_all(times_.blas_wait);
  report_finished_layers();
  if (!overflow()) backward_embedding();
}

void Llama::Pass::backward_classifier() {
  const std::size_t seq_len = config_.seq_len;
  const std::size_t dim = config_.dim;
  const std::size_t vocab = config_.vocab;
  {
    // Without transposing the operands: BLAS is 20% faster than with both transposed, and transposing the result is
    // cheap.
    const PhaseTimer timer(times_.classifier, spans_, "classifier backward");
    for_classifier_pieces([&](std::size_t first, std::size_t rows, std::span<const float> piece) {
      math::gemm(seq_len, dim, rows, 1, {work_.logits.data() + first, vocab}, {piece.data(), dim},
                 first == 0 ? 0.0F : 1.0F, work_.dfinal_rows.data(), dim, threads_);
    });
    to_channel_first([&](std::size_t position) { return &work_.dfinal_rows[position * dim]; }, work_.dnorm);
  }
  if (!work_.classifier.is_frozen) accumulate_classifier();
  const std::span<float> dx = work_.operands_of(config_.layers - 1).dy;
  std::ranges::fill(dx, 0.0F);
  backward_norm(work_.residual.back(), work_.norm, work_.final_r, dx, dx);
}

void Llama::Pass::backward_stage(std::size_t layer, const Workspace::NormState& stage) {
  if (stage.begins_layer) work_.products.wait(work_.operands_below(layer).last, times_.blas_wait);
  backward_norm(stage.input, *stage.weight, stage.r, stage.around, stage.gradient);
}

void Llama::Pass::backward_stage(std::size_t layer, const Workspace::KernelState& stage) {
  work_.runner.run(stage.backward, layer, stage.backward_given, stage.backward_wanted);
  for (const auto& [weight, dy, x] : stage.products) {
    const GradientOrder::Turn turn(order_, slot_);
    add_product(layer, weight_gradient(*weight, dy, x, gradients_));
  }
  for (const AdapterGradient& adapter : stage.adapters) {
    const GradientOrder::Turn turn(order_, slot_);
    for (const GradientProduct& product : adapter_products(adapter, parameters_, gradients_))
      add_product(layer, product);
  }
  for (const auto& [parameter, terms] : stage.sums) {
    const GradientOrder::Turn turn(order_, slot_);
    const PhaseTimer timer(times_.elementwise, spans_, "channel sums");
    math::add_channel_sums(terms, config_.seq_len, gradient(*parameter), threads_);
  }
}

void Llama::Pass::add_product(std::size_t layer, const GradientProduct& product) {
  last_product_ = work_.products.add(product, times_.elementwise);
  work_.operands_of(layer).last = last_product_;
}

/// Products may still run beside the device, so a layer is reported when they are done.
void Llama::Pass::report_gradients(std::size_t layer) {
  if (listener_ == nullptr || overflow()) return;
  work_.last_products[layer] = last_product_;
  complete_ = layer;
  report_finished_layers();
}

void Llama::Pass::report_finished_layers() {
  while (unreported_ > complete_ && work_.last_products[unreported_ - 1] <= work_.products.finished())
    listener_->on_layer_gradients(--unreported_);
}

// The positions of a repeated token are summed in order, independent of the thread.
void Llama::Pass::backward_embedding() {
  if (work_.embedding.is_frozen) return;
  order_.wait_for_all(classifier_pieces_);  // they may be for the same tensor
  const GradientOrder::Turn turn(order_, slot_);
  const PhaseTimer timer(times_.elementwise, spans_, "embedding backward");
  const std::span<float> table = gradient(work_.embedding);
  const std::span<const float> dx = work_.operands_below(0).dy;
  const std::size_t seq_len = config_.seq_len;
  threads_.parallel_for(config_.dim, channel_grain(seq_len), [&](math::Range channels) {
    for (std::size_t position = 0; position < seq_len; ++position) {
      const std::span<float> row = table.subspan(inputs_[position] * config_.dim, config_.dim);
      for (std::size_t channel = channels.begin; channel < channels.end; ++channel)
        row[channel] += dx[channel * seq_len + position];
    }
  });
}

// ---- Parts

void Llama::Pass::normalize(std::span<const float> x, const Parameter& weight, std::span<float> y, std::span<float> r) {
  const PhaseTimer timer(times_.rms_norm, spans_, "RMSNorm");
  math::rms_norm_forward(x, weights(weight), static_cast<float>(config_.norm_eps), y, r, threads_);
}

/// From the gradient of the normalized input to that of the residual; `base` is the gradient of the path around the
/// norm.
void Llama::Pass::backward_norm(std::span<const float> x, const Parameter& weight, std::span<const float> r,
                                std::span<const float> base, std::span<float> dx) {
  const GradientOrder::Turn turn(order_, slot_);
  const PhaseTimer timer(times_.rms_norm, spans_, "RMSNorm backward");
  math::rms_norm_backward(x, work_.dnorm, weights(weight), r, base, dx, gradient(weight), threads_);
}

/// In pieces if other passes wait for them.
void Llama::Pass::accumulate_classifier() {
  const std::size_t dim = config_.dim;
  const std::size_t seq_len = config_.seq_len;
  const std::size_t piece = order_.running() == 1 ? config_.vocab : kClassifierPiece;
  for (std::size_t row = 0; row < config_.vocab; row += piece) {
    const std::size_t rows = std::min(piece, config_.vocab - row);
    const GradientOrder::Turn turn(order_, slot_);
    ++classifier_pieces_;
    work_.products.add({.m = rows,
                        .n = dim,
                        .k = seq_len,
                        .a = {work_.logits.data() + row, config_.vocab, math::Transpose::yes},
                        .b = {work_.final_in.data(), seq_len, math::Transpose::yes},
                        .c = gradient(work_.classifier).subspan(row * dim, rows * dim)},
                       times_.classifier);
  }
}

/// Calls body(slot, times) for each sample's batch slot: a single one inline, several on one thread each.
template <class Body>
void Llama::run_slots(std::span<const data::Sample> samples, StepTimes& times, const Body& body) {
  assert(samples.size() <= slots_.size());
  for (const data::Sample& sample : samples) check_sample(sample, config_);
  order_->begin(samples.size());
  if (samples.size() == 1) return body(0, times);
  const auto run = [&](std::size_t slot) {
    slots_[slot]->times = {};
    body(slot, slots_[slot]->times);
  };
  context_.threads.parallel_for(samples.size(), 1, [&](math::Range slots) {
    for (std::size_t slot = slots.begin; slot < slots.end; ++slot) run(slot);
  });
  StepTimes sum;
  for (std::size_t slot = 0; slot < samples.size(); ++slot) sum += slots_[slot]->times;
  times += sum /= static_cast<std::int64_t>(samples.size());
}

void Llama::step(std::span<const data::Sample> samples, std::span<const float> parameters, float loss_scale,
                 std::span<float> gradients, std::span<StepResult> results, StepTimes& times) {
  run_slots(samples, times, [&](std::size_t slot, StepTimes& own) {
    Pass pass(*this, slot, PassMode::training, samples[slot], parameters, own);
    pass.forward();
    const double loss = pass.loss(loss_scale);
    pass.backward(gradients);
    results[slot] = {loss, pass.overflow(), loss_share(samples[slot])};
  });
}

void Llama::evaluate(std::span<const data::Sample> samples, std::span<const float> parameters,
                     std::span<StepResult> results, StepTimes& times) {
  run_slots(samples, times, [&](std::size_t slot, StepTimes& own) {
    Pass pass(*this, slot, PassMode::forward, samples[slot], parameters, own);
    pass.forward();
    const double loss = pass.loss(0);
    results[slot] = {loss, pass.overflow(), loss_share(samples[slot])};
  });
}

// Later positions do not affect earlier ones, so anything may fill the rest of the window.
std::optional<std::string> Llama::next_logits(std::span<const data::Token> text, std::span<const float> parameters,
                                              std::span<float> logits) {
  assert(!text.empty() && text.size() <= config_.seq_len && logits.size() == config_.vocab);
  data::Sample window;
  window.tokens.assign(text.begin(), text.end());
  window.tokens.resize(config_.seq_len + 1, text.back());
  std::optional<std::string> overflow;
  StepTimes times;
  run_slots(std::span(&window, 1), times, [&](std::size_t slot, StepTimes& own) {
    Pass pass(*this, slot, PassMode::forward, window, parameters, own);
    pass.forward(text.size() - 1, logits);
    overflow = pass.overflow();
  });
  const bool is_finite = std::ranges::all_of(logits, [](float logit) { return std::isfinite(logit); });
  return overflow || is_finite ? overflow : "the logits are not finite";
}

}  // namespace ane::model
