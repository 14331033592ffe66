#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ane/mil/geometry.h"
#include "ane/mil/op_view.h"

#include "lower/graph.h"
#include "plan/placement.h"

/// Implementation of `lower`, one operation at a time.
namespace ane::device::host {

class Lowering {
 public:
  explicit Lowering(const mil::Function& function);
  [[nodiscard]] Graph run() &&;

 private:
  using Op = mil::OpView;

  void operation(const Op& op);
  // lower_elementwise.cpp
  void elementwise(const Op& op);
  // lower_quantization.cpp
  void quantize(const Op& op);
  void dequantize(const Op& op);
  void lut_to_dense(const Op& op);
  void sparse_to_dense(const Op& op);
  View as_float(const View& integers);
  View along_axis(const Op& op, std::string_view argument);
  // lower_products.cpp
  void matmul(const Op& op);
  void linear(const Op& op);
  void conv(const Op& op);
  View patch_product(View x, const View& weight, const mil::ConvGeometry& geometry, mil::ValueId result);
  void attention(const Op& op);
  View attended(const Op& op, const View& query, const View& key, const View& value, const GraphBuilder::Target& place,
                std::int64_t first = 0);
  // lower_einsum.cpp
  void einsum(const Op& op);
  void sum_unshared(View& view, std::string& labels, std::string_view shared);
  // lower_axes.cpp
  void softmax(const Op& op);
  void reduce(const Op& op);
  void layer_norm(const Op& op);
  /// x reduced along `axes`, which stay as dimensions of 1.
  View reduced(const View& x, const std::vector<std::size_t>& axes, mil::OpKind kind, bool round);
  // lower_selection.cpp
  void reduce_arg(const Op& op);
  void topk(const Op& op);
  void gather_along_axis(const Op& op);
  View picked(const View& x, const View& indices, const Op& op);
  // lower_pool.cpp
  void pool(const Op& op);
  // lower_shape.cpp
  void reshape(const Op& op);
  void slice(const Op& op);
  void split(const Op& op);
  void join(const Op& op);
  void pad(const Op& op);
  void tile(const Op& op);
  void gather(const Op& op);
  void range(const Op& op);
  void shape(const Op& op);

  /// The elements of an operand, as a view.
  View operand(const mil::Operand& operand);
  View operand(const Op& op, std::string_view argument) { return operand(op.operand(argument)); }
  View constant(const mil::Constant& constant);

  /// Defines `value` as the result of an elementwise operation. `in_place`: its destination unless another was
  /// requested.
  void define(mil::ValueId value, const MicroOp& op, std::vector<View> operands,
              const std::optional<View>& in_place = std::nullopt);
  /// Defines `value` as the elements of `view`, which exist or are computed by other nodes.
  void publish(mil::ValueId value, const View& view);
  /// Finishes a product that may need a bias and rounding.
  void finish(mil::ValueId value, const View& product, const std::optional<View>& bias);
  /// `view` with another shape, copied if necessary.
  View shaped(const View& view, const Dims& shape);
  /// An intermediate step of one operation: in fp32, not rounded.
  View compute(mil::OpKind kind, std::vector<View> operands, const Dims& shape, float alpha = 0);

  [[nodiscard]] const mil::TensorType& type(mil::ValueId value) const { return function_.value(value).type; }
  [[nodiscard]] bool rounds(mil::ValueId value) const { return type(value).dtype == mil::DType::fp16; }
  [[nodiscard]] GraphBuilder::Target target(mil::ValueId value, const Dims& shape) const;

  const mil::Function& function_;
  GraphBuilder builder_;
  Placement placement_;
  std::vector<std::optional<View>> views_;
};

/// The permutation that moves `axes` to the end and keeps their order.
[[nodiscard]] Dims axes_last(std::size_t rank, const std::vector<std::size_t>& axes);

}  // namespace ane::device::host
