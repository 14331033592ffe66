#include "ane/math/nn.h"

#include "optimizer/update_rule.h"

namespace ane::train {

namespace {

bool with_momentum(const OptimizerOptions& options, const model::Parameter& /*parameter*/) {
  return options.momentum > 0;
}

constexpr std::array<SlotRule, 1> kSgdSlots = {{{"momentum", with_momentum}}};

bool sgd(const UpdateContext& context, const TensorState& tensor) {
  const auto& [options, step, workspace, threads] = context;
  const auto lr = static_cast<float>(step.lr);
  const auto grad_factor = static_cast<float>(step.grad_factor);
  if (options.momentum == 0)
    return math::sgd(lr, tensor.weight_decay(options), grad_factor, tensor.values, tensor.gradient, threads);
  const math::MomentumStep momentum{.lr = lr,
                                    .momentum = static_cast<float>(options.momentum),
                                    .weight_decay = tensor.weight_decay(options),
                                    .grad_factor = grad_factor};
  return math::sgd_momentum(momentum, tensor.values, tensor.gradient, tensor.slots[0], threads);
}

}  // namespace

constinit const UpdateRule kSgd{
    {.kind = OptimizerKind::sgd, .name = "sgd", .title = "SGD", .momentum = 0.0}, kSgdSlots, sgd};

}  // namespace ane::train
