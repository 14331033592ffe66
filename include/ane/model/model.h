#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ane/data/source.h"
#include "ane/device/device.h"
#include "ane/math/threads.h"
#include "ane/model/config.h"
#include "ane/model/frozen_parameters.h"
#include "ane/model/kernels.h"
#include "ane/model/parameters.h"
#include "ane/surface/pool.h"

namespace ane::model {

using Duration = std::chrono::nanoseconds;

/// Breakdown of a step's time into the parts that the field's drivers print.
struct StepTimes {
  Duration ane{};          ///< kernels on the device
  Duration io{};           ///< writing and reading surfaces, including fp16 conversion and residual sums
  Duration classifier{};   ///< final projection and its gradients
  Duration elementwise{};  ///< embedding, loss, weight-gradient products that run inline
  Duration rms_norm{};
  Duration blas_wait{};  ///< waiting for weight-gradient products that overlap with the device

  StepTimes& operator+=(const StepTimes& other) noexcept;
  StepTimes& operator/=(std::int64_t parts) noexcept;
};

struct StepResult {
  double loss = 0;  ///< sum over the positions that count, divided by the number of all positions
  /// Names the tensor, for the log, if one that was read back was not finite or was near the limit of ane.md N2. The
  /// gradients of this accumulation must then be dropped.
  std::optional<std::string> overflow;
  double loss_share = 1;  ///< of the positions, those that a loss mask leaves: loss / loss_share is their mean loss
};

struct Flops {
  double forward = 0, backward_dx = 0, backward_dw = 0, sdpa_backward = 0, classifier = 0;
  [[nodiscard]] double total() const noexcept {
    return forward + backward_dx + backward_dw + sdpa_backward + classifier;
  }
  [[nodiscard]] double on_device() const noexcept { return forward + backward_dx + sdpa_backward; }
};

/// Sizes and costs of a model.
struct ModelSummary {
  std::size_t transformer_parameters = 0;
  std::size_t embedding_parameters = 0;
  std::size_t trained_parameters = 0;  ///< of all
  std::size_t activation_bytes = 0;    ///< fp32 memory of all batch slots
  Flops flops_per_step;
};

/// Receives time spans when they end, for a profile: a kernel's run ("attn_fwd"), its compilation ("compile attn_fwd"),
/// a part of a step on the CPU. Spans of one thread do not overlap; there may be several threads.
class SpanListener {
 public:
  using Clock = std::chrono::steady_clock;
  virtual ~SpanListener() = default;
  virtual void on_span(std::string_view name, Clock::time_point begin, Clock::time_point end) noexcept = 0;
};

/// Told by Model::step() when the gradients of a layer are complete: this step adds nothing more to them.
class GradientListener {
 public:
  virtual ~GradientListener() = default;
  /// From the last layer to the first. Called on one of the threads of the step, which waits meanwhile.
  virtual void on_layer_gradients(std::size_t layer) = 0;
};

/// The resources that a model computes with; all must outlive it.
struct ModelContext {
  device::Device& device;
  surface::SurfacePool& surfaces;
  math::ThreadPool& threads;
  SpanListener* spans = nullptr;  ///< may be null
  /// The parameters that are not trained; null if all are.
  const FrozenParameters* frozen = nullptr;
  /// Batch slots, each on one of `threads`; at most as many as these. More than one requires a device that shares the
  /// CPU and uses one thread per run.
  std::size_t slots = 1;
};

/// A model that runs on compiled kernels. The trained parameters and their gradients are flat fp32 arrays, laid out by
/// parameters(), that the caller owns; frozen parameters stay in their files (ModelContext::frozen).
class Model {
 public:
  virtual ~Model() = default;
  [[nodiscard]] virtual const ModelConfig& config() const noexcept = 0;
  /// The trained parameters.
  [[nodiscard]] virtual const ParameterLayout& parameters() const = 0;
  [[nodiscard]] virtual ModelSummary summary() const = 0;
  /// Initializes the weights from (seed, name of the tensor) on all threads.
  virtual void initialize(std::span<float> parameters, std::uint64_t seed) const = 0;

  /// They must hold the weights of `parameters` before step() or evaluate() is called with these.
  [[nodiscard]] virtual Kernels& kernels() noexcept = 0;
  [[nodiscard]] virtual const Kernels& kernels() const noexcept = 0;

  /// Number of batch slots: how many samples step() and evaluate() take at most.
  [[nodiscard]] virtual std::size_t batch_slots() const noexcept = 0;
  /// Forward and backward of each sample, with `results` in the same order. Gradients of StepResult::loss times
  /// `loss_scale` are added to `gradients`. Concurrent time is added to `times` once.
  virtual void step(std::span<const data::Sample> samples, std::span<const float> parameters, float loss_scale,
                    std::span<float> gradients, std::span<StepResult> results, StepTimes& times) = 0;
  /// Whom step() tells about complete gradients; null: no one. A model need not tell, and after an overflow does not.
  virtual void set_gradient_listener(GradientListener* /*listener*/) noexcept {}
  /// Forward only: the loss of each sample.
  virtual void evaluate(std::span<const data::Sample> samples, std::span<const float> parameters,
                        std::span<StepResult> results, StepTimes& times) = 0;
  /// Computes the logits [V] of the token that follows `text`, at least one and at most a window of tokens, with the
  /// kernels of evaluate(): a pass over the whole window. Returns StepResult::overflow. Throws UsageError for a model
  /// that is not one of texts.
  [[nodiscard]] virtual std::optional<std::string> next_logits(std::span<const data::Token> text,
                                                               std::span<const float> parameters,
                                                               std::span<float> logits);
};

}  // namespace ane::model
