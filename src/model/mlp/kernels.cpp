#include "ane/model/mlp.h"

#include "kernels/kernel_writer.h"

namespace ane::model {

KernelDefinition mlp_fwd(const ModelConfig& config, const KernelOptions& options) {
  KernelWriter kernel("mlp_fwd", options, config.seq_len, {{"x", config.dim}},
                      {{"w1", config.hidden, config.dim}, {"w2", config.dim, config.hidden}},
                      {{"y", config.dim}, {"h", config.hidden}});
  const mil::Var h = kernel.mil().relu("h", kernel.project("h1", kernel.tensor("x"), "w1"));
  kernel.output("y", kernel.project("y", h, "w2"));
  kernel.output("h", h);
  return std::move(kernel).finish();
}

KernelDefinition mlp_bwd(const ModelConfig& config, const KernelOptions& options) {
  KernelWriter kernel("mlp_bwd", options, config.seq_len, {{"dy", config.dim}, {"h", config.hidden}},
                      {{"w2", config.hidden, config.dim, Weight::transposed}}, {{"dh", config.hidden}});
  mil::Builder& mil = kernel.mil();
  // The slope of ReLU, 1 or 0. No project is known to have run `sign`, which would be a single operation.
  const mil::Var h = kernel.tensor("h");  // not inside the next call: compilers evaluate arguments in different orders
  const mil::Var is_open = mil.binary(mil::OpKind::greater, "is_open", h, mil.scalar(0.0F));
  const mil::Var type = mil.text("type", mil::name(options.element));
  const mil::Var slope =
      mil.operation(mil::OpKind::cast, "slope",
                    {{"dtype", {mil::Operand(type.id)}, false}, {"x", {mil::Operand(is_open.id)}, false}})
          .front();
  const mil::Var back = kernel.project("back", kernel.tensor("dy"), "w2");
  kernel.output("dh", mil.mul("dh", back, slope));
  return std::move(kernel).finish();
}

KernelPlan mlp_plan(const ModelConfig& config, const KernelOptions& options) {
  return {"mlp",
          {{Phase::ffn_forward, mlp_fwd(config, options)}, {Phase::ffn_backward, mlp_bwd(config, options)}},
          {{Phase::ffn_forward, {"x"}, {"y", "h"}}, {Phase::ffn_backward, {"dy"}, {"dh"}}}};
}

}  // namespace ane::model
