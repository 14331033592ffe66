#include "ane/math/nn.h"

#include "optimizer/update_rule.h"

namespace ane::train {

namespace {

bool sgd(const OptimizerOptions& options, const UpdateStep& step, const TensorState& tensor,
         math::ThreadPool& threads) {
  const auto decay = static_cast<float>(tensor.decays ? options.weight_decay : 0);
  return math::sgd(static_cast<float>(step.lr), decay, static_cast<float>(step.grad_factor), tensor.values,
                   tensor.gradient, threads);
}

}  // namespace

constinit const UpdateRule kSgd{OptimizerKind::sgd, {}, sgd};

}  // namespace ane::train
