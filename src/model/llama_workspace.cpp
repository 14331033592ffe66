#include "llama_workspace.h"

#include "ane/core/checked.h"

#include "activation_memory.h"

namespace ane::model {

namespace {

constexpr std::size_t kAlignment = 16;  // elements: 64 bytes

}  // namespace

Llama::Workspace::Workspace(const ModelConfig& config, const ParameterLayout& layout, KernelBank& kernels,
                            const ModelContext& context, std::size_t slot)
    : threads(context.threads),
      tensors(config, layout),
      runner(kernels, context, slot),
      layers(config.layers),
      residual(config.layers + 1),
      losses(config.seq_len),
      products(context) {
  operands.resize(products.run_beside() ? 2 : 1);
  std::size_t size = 0;
  lay_out(config, [&](std::span<float>& /*part*/, std::size_t count) { size += round_up(count, kAlignment); });
  memory = activation_memory(size);
  const std::span<float> all(reinterpret_cast<float*>(memory.data()), size);
  std::size_t begin = 0;
  lay_out(config, [&](std::span<float>& part, std::size_t count) {
    part = all.subspan(begin, count);
    begin += round_up(count, kAlignment);
  });
}

/// Calls take(part, its elements) for each part, always in the same order.
template <class Take>
void Llama::Workspace::lay_out(const ModelConfig& config, const Take& take) {
  const std::size_t wide = config.dim * config.seq_len;
  const std::size_t queries = config.q_dim() * config.seq_len;
  const std::size_t kv = config.kv_dim() * config.seq_len;
  const std::size_t hidden = config.hidden * config.seq_len;
  for (Layer& layer : layers) {
    for (std::span<float>* part : {&layer.attn_in, &layer.post_attention, &layer.ffn_in}) take(*part, wide);
    for (std::span<float>* part : {&layer.attn_r, &layer.ffn_r}) take(*part, config.seq_len);
  }
  for (std::span<float>& part : residual) take(part, wide);
  for (std::span<float>* part : {&final_in, &dfinal_rows, &dnorm}) take(*part, wide);
  for (Operands& mode : operands) {
    for (std::span<float>* part : {&mode.dy, &mode.dpost_attention}) take(*part, wide);
    for (std::span<float>* part : {&mode.attn, &mode.dq}) take(*part, queries);
    for (std::span<float>* part : {&mode.dk, &mode.dv}) take(*part, kv);
    for (std::span<float>* part : {&mode.gate, &mode.dh1, &mode.dh3}) take(*part, hidden);
  }
  take(final_r, config.seq_len);
  take(logits, config.seq_len * config.vocab);
}

}  // namespace ane::model
