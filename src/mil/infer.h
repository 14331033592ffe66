#pragma once

#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "ane/mil/op_view.h"

/// The result types of each operation (ane.md 2.4). Arguments have already been checked against the operation's
/// parameters; these functions check the relations between them. All throw TypeError.
namespace ane::mil {

using Types = std::vector<TensorType>;

/// The name of an operation in messages: "op 'y' (matmul)".
[[nodiscard]] std::string label(const OpView& op);
[[noreturn]] void fail(const OpView& op, const std::string& problem);

/// "x is fp16 [1, 4] and y is fp16 [2]".
[[nodiscard]] std::string describe(const OpView& op, std::initializer_list<std::string_view> arguments);
/// The common shape of the arguments by numpy's rule.
[[nodiscard]] Shape broadcast(const OpView& op, std::initializer_list<std::string_view> arguments);
void require_same_dtype(const OpView& op, std::initializer_list<std::string_view> arguments);
/// `axis` counted from the front, after checking it against `rank`.
[[nodiscard]] std::size_t axis_in(const OpView& op, std::int64_t axis, std::size_t rank);
/// The same for a list without repetitions.
[[nodiscard]] std::vector<std::size_t> axes_in(const OpView& op, const std::vector<std::int64_t>& axes,
                                               std::size_t rank);
void require_length(const OpView& op, std::string_view argument, const std::vector<std::int64_t>& list,
                    std::size_t length);
void require_one_of(const OpView& op, std::string_view argument, std::string_view value,
                    std::initializer_list<std::string_view> allowed);
/// The number of elements of `shape`, after checking that it does not overflow.
[[nodiscard]] std::int64_t elements_in(const OpView& op, const Shape& shape);
/// Whether `operand` is a constant, or computed only from constants (constexpr_*).
[[nodiscard]] bool is_compile_time(const OpView& op, const Operand& operand);

Types infer_constant(const OpView& op);

Types infer_conv(const OpView& op);
Types infer_matmul(const OpView& op);
Types infer_linear(const OpView& op);
Types infer_einsum(const OpView& op);
Types infer_attention(const OpView& op);

Types infer_binary(const OpView& op);
Types infer_compare(const OpView& op);
Types infer_same_as_x(const OpView& op);
Types infer_clip(const OpView& op);
Types infer_gelu(const OpView& op);
Types infer_cast(const OpView& op);
Types infer_select(const OpView& op);

Types infer_softmax(const OpView& op);
Types infer_reduce(const OpView& op);
Types infer_reduce_arg(const OpView& op);
Types infer_topk(const OpView& op);
Types infer_layer_norm(const OpView& op);

Types infer_pool(const OpView& op);

Types infer_reshape(const OpView& op);
Types infer_transpose(const OpView& op);
Types infer_expand_dims(const OpView& op);
Types infer_squeeze(const OpView& op);
Types infer_slice(const OpView& op);
Types infer_concat(const OpView& op);
Types infer_split(const OpView& op);
Types infer_stack(const OpView& op);
Types infer_pad(const OpView& op);
Types infer_tile(const OpView& op);
Types infer_gather(const OpView& op);
Types infer_gather_along_axis(const OpView& op);
Types infer_range_1d(const OpView& op);
Types infer_shape(const OpView& op);

Types infer_quantize(const OpView& op);
Types infer_dequantize(const OpView& op);
Types infer_lut_to_dense(const OpView& op);
Types infer_sparse_to_dense(const OpView& op);

}  // namespace ane::mil
