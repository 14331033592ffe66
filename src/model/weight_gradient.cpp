#include "weight_gradient.h"

#include <cassert>

#include "ane/math/gemm.h"

namespace ane::model {

void accumulate_weight_gradient(const Parameter& weight, std::span<const float> dy, std::span<const float> x,
                                std::span<float> gradients, math::ThreadPool& threads) {
  const auto out = static_cast<std::size_t>(weight.shape.at(0));
  const auto in = static_cast<std::size_t>(weight.shape.at(1));
  const std::size_t seq_len = x.size() / in;
  assert(dy.size() == out * seq_len && x.size() == in * seq_len);
  math::gemm(out, in, seq_len, 1, {dy.data(), seq_len}, {x.data(), seq_len, math::Transpose::yes}, 1,
             slice(gradients, weight).data(), in, threads);
}

}  // namespace ane::model
