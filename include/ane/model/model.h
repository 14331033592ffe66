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
#include "ane/mil/program.h"
#include "ane/model/parameters.h"
#include "ane/surface/pool.h"

namespace ane::model {

using Duration = std::chrono::nanoseconds;

/// Where the time of a step went, in the parts that the field's drivers print.
struct StepTimes {
  Duration ane{};          ///< kernels on the device
  Duration io{};           ///< surfaces written and read, fp16 conversion and residual sums included
  Duration classifier{};   ///< final projection and its gradients
  Duration elementwise{};  ///< embedding, loss, weight-gradient products run in line
  Duration rms_norm{};
  Duration blas_wait{};  ///< waiting for weight-gradient products that run beside the device

  StepTimes& operator+=(const StepTimes& other) noexcept;
  StepTimes& operator/=(std::int64_t parts) noexcept;
};

struct StepResult {
  double loss = 0;
  /// Set when a tensor read back was not finite or came near the limit of ane.md N2: which one, for the log. The
  /// gradients of this accumulation must then be dropped.
  std::optional<std::string> overflow;
};

/// Which kernels a compile round makes.
enum class KernelSet { training, forward };

/// One kind of kernel, for --dry-run and --dump-mil.
struct KernelInfo {
  std::string name;   ///< "ffn_bwd"
  std::string phase;  ///< of a layer's step: "feed-forward backward"
  mil::Program program;
  std::vector<std::string> inputs;   ///< tensors, by name
  std::vector<std::string> outputs;  ///< "h1"
  std::vector<std::string> taps;     ///< outputs that are kept for a later phase
  std::vector<std::string> weights;  ///< parameters of a layer: "feed_forward.w2.weight"
  int copies = 1;                    ///< compiled this many times a round: once a layer
  bool has_weights = true;           ///< baked; without them it is compiled once a process
  bool forward = false;              ///< part of KernelSet::forward
  std::size_t weight_bytes = 0;      ///< blobs of one copy
  std::size_t input_bytes = 0;       ///< input surfaces that hold weights, of all layers
};

struct Flops {
  double forward = 0, backward_dx = 0, backward_dw = 0, sdpa_backward = 0, classifier = 0;
  [[nodiscard]] double total() const noexcept {
    return forward + backward_dx + backward_dw + sdpa_backward + classifier;
  }
  [[nodiscard]] double on_device() const noexcept { return forward + backward_dx + sdpa_backward; }
};

/// What the first lines of a run say.
struct ModelSummary {
  std::string dimensions;  ///< "dim=768 hidden=2048 heads=12 seq=256 vocab=32000 layers=12"
  std::size_t transformer_parameters = 0;
  std::size_t embedding_parameters = 0;
  std::size_t activation_bytes = 0;  ///< fp32 memory of the sequences that go side by side
  Flops flops_per_step;
};

/// Is told of spans of time when they end, for a profile: a kernel's run ("attn_fwd"), its compilation ("compile
/// attn_fwd"), a part of a step on the CPU. Those of one thread do not overlap; there may be several threads.
class SpanListener {
 public:
  using Clock = std::chrono::steady_clock;
  virtual ~SpanListener() = default;
  virtual void on_span(std::string_view name, Clock::time_point begin, Clock::time_point end) noexcept = 0;
};

/// What a model computes with; all outlive it.
struct Engine {
  device::Device& device;
  surface::SurfacePool& surfaces;
  math::ThreadPool& threads;
  SpanListener* spans = nullptr;  ///< without it nobody watches
  /// Sequences that go through the model side by side, each on one of `threads` from end to end; not more than those.
  /// For a device that shares the CPU; it then lets a run have one thread as well.
  std::size_t lanes = 1;
};

/// A model that runs on compiled kernels. Parameters and gradients are flat fp32 arrays, laid out by
/// parameters(), that the caller owns.
class Model {
 public:
  virtual ~Model() = default;
  [[nodiscard]] virtual const ParameterLayout& parameters() const = 0;
  [[nodiscard]] virtual ModelSummary summary() const = 0;
  [[nodiscard]] virtual std::vector<KernelInfo> kernels() const = 0;
  /// Fresh weights from (seed, name of the tensor), drawn by all threads.
  virtual void initialize(std::span<float> parameters, std::uint64_t seed) const = 0;

  /// Compiles that compile() would make now: kernels with baked weights always count, others until they are compiled.
  [[nodiscard]] virtual int compiles_needed(KernelSet set) const = 0;
  /// Compiles them, with `parameters` where weights are baked. Throws what Device::compile throws.
  virtual void compile(KernelSet set, std::span<const float> parameters) = 0;
  /// Hands `parameters` to the kernels of `set` whose weights are not baked; false if there are none. Nothing is
  /// compiled for it. Throws DeviceError.
  virtual bool load_weights(KernelSet /*set*/, std::span<const float> /*parameters*/) { return false; }
  /// Both: from here on the kernels of `set` compute with `parameters`.
  void load(KernelSet set, std::span<const float> parameters) {
    compile(set, parameters);
    load_weights(set, parameters);
  }

  /// Compiles that compile_ahead() makes: one for every kernel with weights.
  [[nodiscard]] virtual int compiles_ahead() const = 0;
  /// Bakes `parameters` into a second set of training kernels beside the one that runs. While it does, another thread
  /// may step() and evaluate(), and call nothing else. Throws what Device::compile throws; there is then no second set.
  virtual void compile_ahead(std::span<const float> parameters) = 0;
  /// That set replaces the one that runs.
  virtual void adopt_ahead() = 0;

  /// Forward and backward of one sample. `parameters` are those that were loaded; `gradients` are added to,
  /// multiplied by `loss_scale`; `times` is added to.
  virtual StepResult step(const data::Sample& sample, std::span<const float> parameters, float loss_scale,
                          std::span<float> gradients, StepTimes& times) = 0;
  /// Forward only: the loss of one sample.
  virtual StepResult evaluate(const data::Sample& sample, std::span<const float> parameters, StepTimes& times) = 0;

  /// How many samples may go side by side.
  [[nodiscard]] virtual std::size_t samples_at_once() const noexcept { return 1; }
  /// step() of as many samples, to `results` in their order; one after another unless the model knows better.
  /// `times` is added to as if they had been: what ran side by side counts once.
  virtual void step_each(std::span<const data::Sample> samples, std::span<const float> parameters, float loss_scale,
                         std::span<float> gradients, std::span<StepResult> results, StepTimes& times);
  /// The same for evaluate().
  virtual void evaluate_each(std::span<const data::Sample> samples, std::span<const float> parameters,
                             std::span<StepResult> results, StepTimes& times);
};

}  // namespace ane::model
