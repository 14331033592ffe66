#include "ane/model/mlp.h"

#include "kernel_writer.h"

namespace ane::model {

KernelDefinition mlp_fwd(const MlpConfig& config, mil::DType element) {
  KernelWriter kernel("mlp_fwd", Direction::forward, {element, config.seq_len, {{"x", config.dim}}},
                      {element, config.seq_len, {{"y", config.dim}, {"h", config.hidden}}});
  const mil::Var h = kernel.mil().relu("h", kernel.project("h1", kernel.input("x"), "w1", config.hidden));
  kernel.output("y", kernel.project("y", h, "w2", config.dim));
  kernel.output("h", h);
  return std::move(kernel).finish();
}

KernelDefinition mlp_bwd(const MlpConfig& config, mil::DType element) {
  KernelWriter kernel("mlp_bwd", Direction::backward,
                      {element, config.seq_len, {{"dy", config.dim}, {"h", config.hidden}}},
                      {element, config.seq_len, {{"dh", config.hidden}}});
  mil::Builder& mil = kernel.mil();
  // h is not negative, so its sign is relu's slope: 1 or 0.
  const mil::Var slope = mil.unary(mil::OpKind::sign, "slope", kernel.input("h"));
  const mil::Var back = kernel.project("back", kernel.input("dy"), "w2", config.hidden, Weight::transposed);
  kernel.output("dh", mil.mul("dh", back, slope));
  return std::move(kernel).finish();
}

}  // namespace ane::model
