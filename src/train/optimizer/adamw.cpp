#include <string_view>

#include "ane/math/nn.h"

#include "optimizer/update_rule.h"

namespace ane::train {

namespace {

constexpr std::array<std::string_view, 2> kSlots = {"first_moment", "second_moment"};

bool adamw(const OptimizerOptions& options, const UpdateStep& step, const TensorState& tensor,
           math::ThreadPool& threads) {
  const math::AdamWStep adamw{.lr = static_cast<float>(step.lr),
                              .beta1 = static_cast<float>(options.beta1),
                              .beta2 = static_cast<float>(options.beta2),
                              .eps = static_cast<float>(options.eps),
                              .weight_decay = static_cast<float>(tensor.decays ? options.weight_decay : 0),
                              .grad_factor = static_cast<float>(step.grad_factor),
                              .update = step.update_count};
  return math::adamw(adamw, tensor.values, tensor.gradient, tensor.slots[0], tensor.slots[1], threads);
}

}  // namespace

constinit const UpdateRule kAdamW{OptimizerKind::adamw, kSlots, adamw};

}  // namespace ane::train
