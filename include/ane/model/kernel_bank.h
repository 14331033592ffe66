#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ane/model/kernel_definition.h"
#include "ane/model/kernel_plan.h"

namespace ane::model {

/// All kernels of a model: those of a plan, each with baked weights compiled once a layer, each without once. What
/// takes weights as input has an input surface a layer and lane, which holds them as long as the bank lives.
class KernelBank {
 public:
  /// `layer_prefixes` has one entry a layer: what the names of its parameters begin with ("layers.0."). `lanes`: how
  /// many sequences go through the layers side by side.
  KernelBank(KernelPlan plan, mil::DType element, std::vector<std::string> layer_prefixes, std::size_t lanes = 1);
  KernelBank(const KernelBank&) = delete;
  KernelBank& operator=(const KernelBank&) = delete;

  [[nodiscard]] int compiles_needed(KernelSet set) const;
  /// Drops the kernels with baked weights, then compiles what the set lacks. If it throws, some are missing.
  void compile(KernelSet set, const Engine& engine, const ParameterLayout& layout, std::span<const float> parameters);
  /// Writes the weights that the set's kernels take as input; false if none does.
  bool load_weights(KernelSet set, const Engine& engine, const ParameterLayout& layout,
                    std::span<const float> parameters);

  /// As Model has them.
  [[nodiscard]] int compiles_ahead() const;
  void compile_ahead(const Engine& engine, const ParameterLayout& layout, std::span<const float> parameters);
  void adopt_ahead();

  [[nodiscard]] const KernelPlan& plan() const noexcept { return plan_; }
  [[nodiscard]] std::size_t layers() const noexcept { return layer_prefixes_.size(); }
  /// The kernel that `layer` runs for a row of the plan. Throws Error if it is not compiled.
  [[nodiscard]] device::Kernel& kernel(std::size_t row, std::size_t layer) const;
  /// The layer's input surface in a lane if it holds weights, else null. Throws Error if they were not loaded.
  [[nodiscard]] surface::Surface* weighted_input(std::size_t row, std::size_t layer, std::size_t lane);
  [[nodiscard]] std::vector<KernelInfo> infos() const;

 private:
  struct Entry {
    KernelKind kind;
    bool forward = false;
    std::vector<std::unique_ptr<device::Kernel>> copies;  ///< one a layer, or one in all
    std::vector<std::unique_ptr<device::Kernel>> ahead;   ///< to replace them
    std::vector<surface::Surface> inputs;                 ///< that hold weights: every layer's of lane 0, of lane 1..
    [[nodiscard]] bool belongs_to(KernelSet set) const noexcept { return forward || set == KernelSet::training; }
  };

  KernelPlan plan_;
  std::vector<Entry> entries_;  ///< by row of the plan
  std::vector<std::string> layer_prefixes_;
  std::size_t lanes_;
  std::uint64_t revision_ = 0;  ///< of the weights in inputs
};

}  // namespace ane::model
