#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ane/mil/builder.h"
#include "ane/model/kernel_definition.h"

namespace ane::model {

/// Whether a projection multiplies by a parameter W [out, in] as it stands, or by its transpose, as gradients do.
enum class Weight { as_stored, transposed };

/// Writes one kernel: the program, and beside it which blobs it names and what they hold.
class KernelWriter {
 public:
  KernelWriter(std::string name, PackedLayout input, PackedLayout output);

  [[nodiscard]] mil::Builder& mil() noexcept { return mil_; }

  /// A tensor of the layer by its name: what the output holds under it, if that is known, else a segment of the input.
  [[nodiscard]] mil::Var tensor(std::string_view name);
  /// The product of the layer's parameter `role` ("attention.wq") with x [1, Ci, 1, S]: [1, out_channels, 1, S].
  [[nodiscard]] mil::Var project(std::string_view name, mil::Var x, std::string_view role, std::size_t out_channels,
                                 Weight weight = Weight::as_stored);
  /// A tensor that no training changes, in a blob file of its own.
  [[nodiscard]] mil::Var constant(std::string_view name, const mil::Shape& shape, std::vector<float> values);
  /// What the output holds in a segment: [1, channels of the segment, 1, S].
  void output(std::string_view segment, mil::Var value);

  /// Every segment of the output must have its value.
  [[nodiscard]] KernelDefinition finish() &&;

 private:
  KernelDefinition definition_;
  mil::Builder mil_;
  mil::Var pack_;
  std::vector<std::pair<std::string, mil::Var>> outputs_;
};

}  // namespace ane::model
