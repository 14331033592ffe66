#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ane/mil/program.h"

namespace ane::model {

/// The kernels that a compile round compiles.
enum class PassMode { training, forward };

/// Description of a kernel for --dry-run and --dump-mil.
struct KernelInfo {
  std::string name;   ///< "ffn_bwd"
  std::string phase;  ///< phase of a layer's step: "feed-forward backward"
  mil::Program program;
  std::vector<std::string> inputs;   ///< tensors, by name
  std::vector<std::string> outputs;  ///< "h1"
  std::vector<std::string> taps;     ///< outputs that are kept for a later phase
  std::vector<std::string> weights;  ///< parameters of a layer: "mlp.down_proj.weight"
  int copies = 1;                    ///< compiles per round: once per layer
  int recompiled = 0;                ///< copies with baked weights that training changes: compiled for every update
  bool forward = false;              ///< part of PassMode::forward
  std::size_t weight_bytes = 0;      ///< blobs of one copy
  std::size_t input_bytes = 0;       ///< input surfaces with weights, of all layers
  std::size_t input_weights = 0;     ///< elements of weights in them
};

/// The life cycle of a model's kernels: how they get the weights of an update.
class Kernels {
 public:
  virtual ~Kernels() = default;
  [[nodiscard]] virtual std::vector<KernelInfo> infos() const = 0;

  /// Compiles that compile() would make now: kernels with trained baked weights always count, others until they are
  /// compiled.
  [[nodiscard]] virtual int compiles_needed(PassMode mode) const = 0;
  /// Number of kernels that other processes have compiled so far in place of this one.
  [[nodiscard]] virtual std::int64_t compiled_by_workers() const { return 0; }
  /// Drops the kernels with trained baked weights, then compiles the missing kernels of `mode`, with `parameters` as
  /// baked weights. Throws like Device::compile; some kernels are then missing.
  virtual void compile(PassMode mode, std::span<const float> parameters) = 0;
  /// Writes `parameters` to the kernels of `mode` whose weights are not baked, without compiling; returns false if
  /// there are none. Throws DeviceError.
  virtual bool load_weights(PassMode mode, std::span<const float> parameters) = 0;

  /// Number of compiles that compile_ahead() makes: one for every kernel with trained baked weights.
  [[nodiscard]] virtual int compiles_ahead() const = 0;
  /// Bakes `parameters` into a second set of training kernels. Meanwhile, another thread may run the model and do
  /// nothing else with the kernels. Throws like Device::compile; there is then no second set.
  virtual void compile_ahead(std::span<const float> parameters) = 0;
  /// Replaces the kernels by those of the second set.
  virtual void adopt_ahead() = 0;
};

}  // namespace ane::model
