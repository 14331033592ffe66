#include "ane/model/llama_kernels.h"

#include "kernels/kernel_writer.h"

namespace ane::model {

KernelDefinition ffn_fwd(const ModelConfig& config, const KernelOptions& options) {
  const std::size_t dim = config.dim;
  const std::size_t hidden = config.hidden;
  KernelWriter kernel("ffn_fwd", options, config.seq_len, {{"xn", dim}},
                      {{"mlp.gate_proj", hidden, dim}, {"mlp.up_proj", hidden, dim}, {"mlp.down_proj", dim, hidden}},
                      {{"y", dim}, {"h1", hidden}, {"h3", hidden}, {"gate", hidden}});
  mil::Builder& mil = kernel.mil();

  const mil::Var xn = kernel.tensor("xn");
  const mil::Var h1 = kernel.project("h1", xn, "mlp.gate_proj");
  const mil::Var h3 = kernel.project("h3", xn, "mlp.up_proj");
  const mil::Var sig = mil.sigmoid("sig", h1);
  const mil::Var act = mil.mul("act", h1, sig);
  const mil::Var gate = mil.mul("gate", act, h3);

  kernel.output("y", kernel.project("y", gate, "mlp.down_proj"));
  kernel.output("h1", h1);
  kernel.output("h3", h3);
  kernel.output("gate", gate);
  return std::move(kernel).finish();
}

}  // namespace ane::model
