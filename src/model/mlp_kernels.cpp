#include "ane/model/mlp.h"

#include "kernel_writer.h"

namespace ane::model {

KernelDefinition mlp_fwd(const MlpConfig& config, mil::DType element) {
  KernelWriter kernel("mlp_fwd", {element, config.seq_len, {{"x", config.dim}}},
                      {element, config.seq_len, {{"y", config.dim}, {"h", config.hidden}}});
  const mil::Var h = kernel.mil().relu("h", kernel.project("h1", kernel.tensor("x"), "w1", config.hidden));
  kernel.output("y", kernel.project("y", h, "w2", config.dim));
  kernel.output("h", h);
  return std::move(kernel).finish();
}

KernelDefinition mlp_bwd(const MlpConfig& config, mil::DType element) {
  KernelWriter kernel("mlp_bwd", {element, config.seq_len, {{"dy", config.dim}, {"h", config.hidden}}},
                      {element, config.seq_len, {{"dh", config.hidden}}});
  mil::Builder& mil = kernel.mil();
  // h is not negative, so its sign is relu's slope: 1 or 0.
  const mil::Var slope = mil.unary(mil::OpKind::sign, "slope", kernel.tensor("h"));
  const mil::Var back = kernel.project("back", kernel.tensor("dy"), "w2", config.hidden, Weight::transposed);
  kernel.output("dh", mil.mul("dh", back, slope));
  return std::move(kernel).finish();
}

KernelPlan mlp_plan(const MlpConfig& config, mil::DType element) {
  return {"mlp",
          {{Phase::ffn_forward, mlp_fwd(config, element)}, {Phase::ffn_backward, mlp_bwd(config, element)}},
          {{Phase::ffn_forward, {"x"}, {"y", "h"}}, {Phase::ffn_backward, {"dy"}, {"dh"}}}};
}

}  // namespace ane::model
