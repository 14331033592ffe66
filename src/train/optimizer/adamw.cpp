#include "ane/math/nn.h"

#include "optimizer/update_rule.h"

namespace ane::train {

namespace {

constexpr std::array<SlotRule, 2> kAdamWSlots = {
    {{"first_moment", has_every_parameter}, {"second_moment", has_every_parameter}}};

bool adamw(const UpdateContext& context, const TensorState& tensor) {
  return update_by_adamw(context, tensor, tensor.slots[0], tensor.slots[1]);
}

}  // namespace

bool update_by_adamw(const UpdateContext& context, const TensorState& tensor, std::span<float> first_moment,
                     std::span<float> second_moment) {
  const auto& [options, step, workspace, threads] = context;
  const math::AdamWStep adamw{.lr = static_cast<float>(step.lr),
                              .beta1 = static_cast<float>(options.beta1),
                              .beta2 = static_cast<float>(options.beta2),
                              .eps = static_cast<float>(options.eps),
                              .weight_decay = tensor.weight_decay(options),
                              .grad_factor = static_cast<float>(step.grad_factor),
                              .update = step.update_count};
  return math::adamw(adamw, tensor.values, tensor.gradient, first_moment, second_moment, threads);
}

constinit const UpdateRule kAdamW{
    {.kind = OptimizerKind::adamw, .name = "adamw", .title = "AdamW", .beta1 = 0.9, .beta2 = 0.95, .has_eps = true},
    kAdamWSlots,
    adamw};

}  // namespace ane::train
