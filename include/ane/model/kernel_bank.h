#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ane/math/task_queue.h"
#include "ane/model/kernel_definition.h"
#include "ane/model/kernel_plan.h"
#include "ane/model/model.h"

namespace ane::model {

/// All kernels of a model: those of a plan, compiled once per layer if they have baked weights, else once. Kernels
/// whose baked weights are all frozen serve the whole run. Kernels that take weights as input have one input surface
/// per layer and batch slot, which holds the weights as long as the bank lives; frozen weights are written there once.
class KernelBank final : public Kernels {
 public:
  /// `layer_prefixes` has the name prefix of each layer's parameters ("model.layers.0."). `slots`: number of batch
  /// slots. `layout` has the trained parameters; it and the parts of `context` must outlive the bank.
  KernelBank(KernelPlan plan, mil::DType element, std::vector<std::string> layer_prefixes,
             const ParameterLayout& layout, const ModelContext& context, std::size_t slots = 1);
  KernelBank(const KernelBank&) = delete;
  KernelBank& operator=(const KernelBank&) = delete;

  [[nodiscard]] std::vector<KernelInfo> infos() const override;
  [[nodiscard]] int compiles_needed(PassMode mode) const override;
  [[nodiscard]] std::int64_t compiled_by_workers() const override { return context_.device.compiled_by_workers(); }
  void compile(PassMode mode, std::span<const float> parameters) override;
  bool load_weights(PassMode mode, std::span<const float> parameters) override;
  [[nodiscard]] int compiles_ahead() const override;
  void compile_ahead(std::span<const float> parameters) override;
  void adopt_ahead() override;

  [[nodiscard]] const KernelPlan& plan() const noexcept { return plan_; }
  [[nodiscard]] std::size_t layers() const noexcept { return layer_prefixes_.size(); }
  /// The kernel of `layer` for a row of the plan. Throws Error if it is not compiled.
  [[nodiscard]] device::Kernel& kernel(std::size_t row, std::size_t layer) const;
  /// The layer's input surface in a batch slot if it holds weights, else null. Throws Error if they were not loaded.
  [[nodiscard]] surface::Surface* weighted_input(std::size_t row, std::size_t layer, std::size_t slot);

 private:
  struct Entry {
    KernelTemplate kind;
    bool forward = false;
    std::vector<std::unique_ptr<device::Kernel>> copies = {};  ///< one per layer, or one in total
    std::vector<bool> is_outdated_by_update = {};              ///< of each copy: whether weights in it are trained
    std::vector<std::unique_ptr<device::Kernel>> ahead = {};   ///< the replacements of such copies
    std::vector<surface::Surface> inputs = {};  ///< with weights: all layers of slot 0, then of slot 1...
    bool has_frozen_weights = false;            ///< whether they were written to `inputs`
    [[nodiscard]] bool belongs_to(PassMode mode) const noexcept { return forward || mode == PassMode::training; }
  };

  /// A copy to be compiled, and where it goes.
  struct Compile {
    KernelTemplate* kind;
    std::size_t copy;
    std::unique_ptr<device::Kernel>* into;
  };

  [[nodiscard]] ParameterValues all(std::span<const float> parameters) const;
  void compile_all(std::span<const Compile> compiles, std::span<const float> parameters);
  void compile_one(KernelTemplate& kind, const Compile& compile, std::span<const float> parameters);

  KernelPlan plan_;
  std::vector<Entry> entries_;  ///< by row of the plan
  std::vector<std::string> layer_prefixes_;
  const ParameterLayout* layout_;
  ModelContext context_;
  std::size_t slots_;
  std::uint64_t revision_ = 0;                               ///< of the weights in inputs
  std::vector<std::unique_ptr<math::TaskQueue>> compilers_;  ///< threads that wait for compile workers
};

}  // namespace ane::model
