#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ane/model/kernel_definition.h"

namespace ane::model {

/// All kernels of a model: every kind with weights is compiled once a layer, every kind without weights once.
class KernelBank {
 public:
  /// `layer_prefixes` has one entry a layer: what the names of its parameters begin with ("layers.0.").
  KernelBank(std::vector<KernelDefinition> definitions, mil::DType element, std::vector<std::string> layer_prefixes);

  [[nodiscard]] int compiles_needed(KernelSet set) const;
  /// Drops the kernels with weights, then compiles the set with `parameters`. If it throws, some are missing.
  void compile(KernelSet set, const Engine& engine, const ParameterLayout& layout, std::span<const float> parameters);

  [[nodiscard]] const KernelDefinition& definition(std::string_view name) const;
  /// The kernel that `layer` runs. Throws Error if it is not compiled.
  [[nodiscard]] device::Kernel& kernel(std::string_view name, std::size_t layer) const;
  [[nodiscard]] std::vector<KernelInfo> infos() const;

 private:
  struct Entry {
    KernelKind kind;
    std::vector<std::unique_ptr<device::Kernel>> copies;  ///< one a layer, or one in all
    [[nodiscard]] bool belongs_to(KernelSet set) const noexcept;
  };
  [[nodiscard]] const Entry& find(std::string_view name) const;

  std::vector<Entry> entries_;
  std::vector<std::string> layer_prefixes_;
};

}  // namespace ane::model
