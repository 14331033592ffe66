#include "ane/math/nn.h"

#include "optimizer/update_rule.h"

namespace ane::train {

namespace {

// Not "momentum": the state of SGD or Muon is not Lion's.
constexpr std::array<SlotRule, 1> kLionSlots = {{{"first_moment", has_every_parameter}}};

bool lion(const UpdateContext& context, const TensorState& tensor) {
  const auto& [options, step, workspace, threads] = context;
  const math::LionStep lion{.lr = static_cast<float>(step.lr),
                            .beta1 = static_cast<float>(options.beta1),
                            .beta2 = static_cast<float>(options.beta2),
                            .weight_decay = tensor.weight_decay(options),
                            .grad_factor = static_cast<float>(step.grad_factor)};
  return math::lion(lion, tensor.values, tensor.gradient, tensor.slots[0], threads);
}

}  // namespace

constinit const UpdateRule kLion{
    {.kind = OptimizerKind::lion, .name = "lion", .title = "Lion", .beta1 = 0.9, .beta2 = 0.99}, kLionSlots, lion};

}  // namespace ane::train
