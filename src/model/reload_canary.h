#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ane/model/kernel_definition.h"

namespace ane::model {

/// Looks whether a kernel computes with the weights that it was given without a compile: runs it on a fixed input and
/// compares with a kernel that the reference device compiles.
class ReloadCanary {
 public:
  /// fp32, one vector a segment of the kernel's output.
  using Results = std::vector<std::vector<float>>;

  /// All outlive it; the engine has a reference device.
  ReloadCanary(const KernelDefinition& definition, std::string_view mil_text, const Engine& engine)
      : definition_(&definition), mil_text_(mil_text), engine_(&engine) {}

  [[nodiscard]] Results results(device::Kernel& kernel) const { return results(kernel, engine_->surfaces); }
  /// Nothing if `kernel` computes with `weights`; else what it does. `before` is what it computed with others.
  [[nodiscard]] std::optional<std::string> fault(device::Kernel& kernel, const mil::Blobs& weights,
                                                 const Results& before) const;

 private:
  [[nodiscard]] Results results(device::Kernel& kernel, surface::SurfacePool& surfaces) const;

  const KernelDefinition* definition_;
  std::string_view mil_text_;
  const Engine* engine_;
};

}  // namespace ane::model
