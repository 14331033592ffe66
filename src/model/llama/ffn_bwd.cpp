#include "ane/model/llama_kernels.h"

#include "kernels/kernel_writer.h"

namespace ane::model {

// gate = h1 * sig * h3 with sig = sigmoid(h1):
//   dh3 = dgate * h1 * sig
//   dh1 = dgate * h3 * sig * (1 + h1 * (1 - sig))
KernelDefinition ffn_bwd(const ModelConfig& config, const KernelOptions& options) {
  const std::size_t dim = config.dim;
  const std::size_t hidden = config.hidden;
  KernelWriter kernel("ffn_bwd", options, config.seq_len, {{"dy", dim}, {"h1", hidden}, {"h3", hidden}},
                      {{"mlp.down_proj", hidden, dim, Weight::transposed},
                       {"mlp.gate_proj", dim, hidden, Weight::transposed},
                       {"mlp.up_proj", dim, hidden, Weight::transposed}},
                      {{"dxn", dim}, {"dh1", hidden}, {"dh3", hidden}});
  mil::Builder& mil = kernel.mil();

  const mil::Var dy = kernel.tensor("dy");
  const mil::Var h1 = kernel.tensor("h1");
  const mil::Var h3 = kernel.tensor("h3");
  const mil::Var dgate = kernel.project("dgate", dy, "mlp.down_proj");
  const mil::Var sig = mil.sigmoid("sig", h1);

  const mil::Var act = mil.mul("act", h1, sig);
  const mil::Var dh3 = mil.mul("dh3", dgate, act);

  const mil::Var one = mil.scalar(1);
  const mil::Var rest = mil.sub("rest", one, sig);
  const mil::Var bend = mil.mul("bend", h1, rest);
  const mil::Var slope = mil.mul("slope", sig, mil.add("one_bend", bend, one));
  const mil::Var dact = mil.mul("dact", dgate, h3);
  const mil::Var dh1 = mil.mul("dh1", dact, slope);

  const mil::Var dxn1 = kernel.project("dxn1", dh1, "mlp.gate_proj");
  const mil::Var dxn3 = kernel.project("dxn3", dh3, "mlp.up_proj");
  kernel.output("dxn", mil.add("dxn", dxn1, dxn3));
  kernel.output("dh1", dh1);
  kernel.output("dh3", dh3);
  return std::move(kernel).finish();
}

}  // namespace ane::model
