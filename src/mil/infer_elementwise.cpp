#include <fmt/format.h>

#include "infer.h"

namespace ane::mil {

Types infer_binary(const OpView& op) {
  require_same_dtype(op, {"x", "y"});
  return {{op.type("x").dtype, broadcast(op, {"x", "y"})}};
}

Types infer_compare(const OpView& op) {
  require_same_dtype(op, {"x", "y"});
  return {{DType::boolean, broadcast(op, {"x", "y"})}};
}

Types infer_same_as_x(const OpView& op) { return {op.type("x")}; }

Types infer_clip(const OpView& op) {
  const float low = op.real("alpha", 0);
  const float high = op.real("beta", 0);
  if (!(low < high)) fail(op, fmt::format("alpha must be below beta, but alpha is {} and beta is {}", low, high));
  return {op.type("x")};
}

Types infer_gelu(const OpView& op) {
  require_one_of(op, "mode", op.text("mode", "EXACT"), {"EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION"});
  return {op.type("x")};
}

Types infer_cast(const OpView& op) {
  const std::string target = op.text("dtype", "");
  require_one_of(op, "dtype", target, {"fp16", "fp32", "int32", "bool", "int8", "uint8", "int16", "uint16"});
  return {{*dtype_from_name(target), op.type("x").shape}};
}

Types infer_select(const OpView& op) {
  require_same_dtype(op, {"a", "b"});
  return {{op.type("a").dtype, broadcast(op, {"cond", "a", "b"})}};
}

}  // namespace ane::mil
