#include <array>
#include <string>

#include "lower/lowering.h"

namespace ane::device::host {
namespace {

using mil::OpKind;

/// coremltools' defaults.
constexpr float kLogEpsilon = 1e-45F;
constexpr float kRsqrtEpsilon = 1e-12F;
constexpr float kInverseEpsilon = 1e-4F;

MicroOp micro_op(const mil::OpView& op) {
  MicroOp micro{.kind = op.kind()};
  switch (op.kind()) {
    case OpKind::log:
      micro.alpha = op.real("epsilon", kLogEpsilon);
      break;
    case OpKind::rsqrt:
      micro.alpha = op.real("epsilon", kRsqrtEpsilon);
      break;
    case OpKind::inverse:
      micro.alpha = op.real("epsilon", kInverseEpsilon);
      break;
    case OpKind::leaky_relu:
      micro.alpha = op.real("alpha", 0);
      break;
    case OpKind::clip:
      micro.alpha = op.real("alpha", 0);
      micro.beta = op.real("beta", 0);
      break;
    case OpKind::gelu: {
      const std::string mode = op.text("mode", "EXACT");
      micro.alpha = mode == "TANH_APPROXIMATION"      ? kGeluTanh
                    : mode == "SIGMOID_APPROXIMATION" ? kGeluSigmoid
                                                      : kGeluExact;
      break;
    }
    case OpKind::cast:
      micro.to = op.result_type().dtype;
      break;
    default:
      break;
  }
  return micro;
}

}  // namespace

void Lowering::elementwise(const Op& op) {
  static constexpr std::array<std::string_view, 5> kOperands{"x", "y", "cond", "a", "b"};
  MicroOp micro = micro_op(op);
  std::vector<View> operands;
  for (const std::string_view name : kOperands) {
    if (op.has(name)) operands.push_back(operand(op, name));
  }
  const std::string_view first = op.kind() == OpKind::select ? "a" : "x";
  micro.integer = !mil::is_float(op.type(first).dtype);
  const mil::ValueId result = op.operation().results.front();
  micro.round = rounds(result);
  define(result, micro, std::move(operands));
}

}  // namespace ane::device::host
