#pragma once

#include <string_view>
#include <vector>

#include "ane/model/config.h"

#include "kernels/kernel_writer.h"

/// The RMSNorm of query and key heads, y = w x (mean over HD of x^2 + eps)^-1/2, inside the attention kernels. Heads
/// are [1, heads, S, HD]; w [HD] serves all heads.
///
/// In fp16 the squares of a fresh model vanish, and those of a trained one overflow, whatever fixed factor precedes
/// them. Heads are therefore first divided by their largest magnitude m, which changes nothing else:
///   u = x c / m,  y = w u (mean of u^2 + eps (c / m)^2)^-1/2,  m = max(max |x|, sqrt(eps))
/// (ane.md, section 5). The power of two c keeps small elements from vanishing. On the CPU between two kernels the norm
/// would be as exact, but would need one more kernel, and two more transfers, per layer and pass.
namespace ane::model {

/// The vectors of the norms, which only some models have.
[[nodiscard]] std::vector<Vector> qk_norm_vectors(const ModelConfig& config);

/// `weight`: the norm's parameter in the layer.
[[nodiscard]] mil::Var normalize_heads(KernelWriter& kernel, std::string_view name, mil::Var x, std::string_view weight,
                                       const ModelConfig& config);

/// Gradients of normalize_heads.
struct HeadNormGradients {
  mil::Var dx;     ///< as x
  mil::Var terms;  ///< as x: their sum over heads and positions is the gradient of the weight
};
[[nodiscard]] HeadNormGradients backward_head_norm(KernelWriter& kernel, std::string_view name, mil::Var x, mil::Var dy,
                                                   std::string_view weight, const ModelConfig& config);

}  // namespace ane::model
