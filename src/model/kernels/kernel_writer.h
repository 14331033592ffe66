#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ane/mil/builder.h"
#include "ane/model/kernel_definition.h"
#include "ane/model/kernel_options.h"

namespace ane::model {

/// Whether a projection multiplies by a parameter W, or by its transpose, as for gradients.
enum class Weight { as_stored, transposed };

/// A matrix [out, in] that a kernel multiplies with.
struct Matrix {
  std::string_view role;  ///< the layer's parameter: "self_attn.q_proj"
  std::size_t out = 0;
  std::size_t in = 0;
  Weight use = Weight::as_stored;
};

/// A parameter of one dimension that a kernel adds to channels or multiplies with them.
struct Vector {
  std::string_view parameter;  ///< of the layer, with its suffix: "self_attn.q_proj.bias"
  std::size_t size = 0;
};

/// One of the two factors of an adapter, of which A is [rank, in] and B [out, rank].
struct Factor {
  std::string segment;     ///< "q_proj_a"
  std::string parameter;   ///< of the layer: "self_attn.q_proj.lora_A.weight"
  std::size_t length = 0;  ///< of its long side
  bool is_b = false;
};

/// An activation that is an input or output of a kernel.
struct Activation {
  std::string_view name;
  std::size_t channels = 0;
  std::size_t columns = 0;  ///< 0: as many as the sequence has positions
};

struct MatrixParts;

/// Generates one kernel: the program, the location of its weights and the values of its constants. Only this class
/// knows whether weights are compiled in (blobs, multiplied by conv) or part of the input (columns beside the
/// activations, or channels below them, multiplied by matmul; ane.md K11). The factors of adapters are always part of
/// the input, so that their updates compile nothing.
class KernelWriter {
 public:
  using Activations = std::vector<Activation>;

  /// Inputs with another number of columns than S are packed as dynamic weights are; outputs have S columns. With
  /// dynamic weights that are packed along the width, the input has as many channels as the largest tensor in `inputs`,
  /// and every matrix must have that many rows or columns.
  KernelWriter(std::string name, const KernelOptions& options, std::size_t seq_len, const Activations& inputs,
               std::vector<Matrix> matrices, const Activations& outputs, std::vector<Vector> vectors = {});

  [[nodiscard]] mil::Builder& mil() noexcept { return mil_; }
  [[nodiscard]] Packing packing() const noexcept { return packing_; }

  /// A tensor of the layer by name: the value of that output segment if it is set, else a segment of the input.
  [[nodiscard]] mil::Var tensor(std::string_view name);
  /// The product of the matrix `role` with x [1, in, 1, S], plus that of its adapter and the vector "ROLE.bias" if
  /// there are any: [1, out, 1, S].
  [[nodiscard]] mil::Var project(std::string_view name, mil::Var x, std::string_view role);
  /// A vector in the shape that its elements have in the program: [1, n, 1, 1] or [1, 1, 1, n].
  [[nodiscard]] mil::Var vector(std::string_view parameter, const mil::Shape& shape);
  /// A tensor that training does not change, in its own blob file.
  [[nodiscard]] mil::Var constant(std::string_view name, const mil::Shape& shape, std::vector<float> values);
  /// Sets the value of an output segment: [1, channels of the segment, 1, S].
  void output(std::string_view segment, mil::Var value);

  /// Every segment of the output must have its value.
  [[nodiscard]] KernelDefinition finish() &&;

 private:
  [[nodiscard]] const Matrix& matrix(std::string_view role) const;
  [[nodiscard]] mil::Var project_baked(std::string_view name, mil::Var x, const Matrix& matrix);
  [[nodiscard]] mil::Var project_in_parts(std::string_view name, mil::Var x, const Matrix& matrix,
                                          const MatrixParts& parts);
  [[nodiscard]] mil::Var project_dynamic(std::string_view name, mil::Var x, const Matrix& matrix);
  [[nodiscard]] mil::Var project_low_rank(std::string_view name, mil::Var x, const Matrix& matrix);
  [[nodiscard]] mil::Var factor(const Factor& factor, bool by_rank);
  [[nodiscard]] mil::Var window(std::string_view name);
  [[nodiscard]] mil::Var shaped(std::string_view name, std::string_view segment, const mil::Shape& shape);
  [[nodiscard]] mil::Var positions_by_channels(std::string_view name, mil::Var x);

  KernelDefinition definition_;
  mil::Builder mil_;
  std::vector<Matrix> matrices_;
  std::vector<Vector> vectors_;
  Adapter adapter_;
  bool is_dynamic_ = false;
  Packing packing_ = Packing::width;
  mil::Var pack_;
  std::map<mil::ValueId, mil::Var> turned_;  ///< activations [1, 1, S, C], by the value they were transposed from
  std::vector<std::pair<std::string, mil::Var>> outputs_;
};

}  // namespace ane::model
