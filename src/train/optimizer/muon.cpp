#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>

#include "ane/core/checked.h"
#include "ane/math/nn.h"
#include "ane/math/orthogonalize.h"

#include "optimizer/update_rule.h"

namespace ane::train {

namespace {

/// Muon's matrices; everything else is updated by AdamW.
bool is_hidden_matrix(const model::Parameter& parameter) {
  return parameter.role == model::Role::matrix && parameter.shape.size() == 2;
}

std::size_t rows_of(const model::Parameter& matrix) { return static_cast<std::size_t>(matrix.shape.at(0)); }
std::size_t columns_of(const model::Parameter& matrix) { return static_cast<std::size_t>(matrix.shape.at(1)); }

bool of_hidden_matrices(const OptimizerOptions& /*options*/, const model::Parameter& parameter) {
  return is_hidden_matrix(parameter);
}
bool of_others(const OptimizerOptions& /*options*/, const model::Parameter& parameter) {
  return !is_hidden_matrix(parameter);
}

constexpr std::array<SlotRule, 3> kMuonSlots = {
    {{"momentum", of_hidden_matrices}, {"first_moment", of_others}, {"second_moment", of_others}}};

/// The root mean square of an update of a matrix is about that of AdamW's with the same learning rate (Liu et al. 2025,
/// "Muon is scalable for LLM training").
constexpr double kAdamWScale = 0.2;

/// Elements of the orthogonalized update, which precede what orthogonalize() works in.
std::size_t direction_size(const model::Parameter& parameter) {
  constexpr std::size_t kAlignment = 16;
  return round_up(parameter.count, kAlignment);
}

std::size_t workspace_size(const model::Parameter& parameter) {
  if (!is_hidden_matrix(parameter)) return 0;
  return direction_size(parameter) + math::orthogonalize_workspace(rows_of(parameter), columns_of(parameter));
}

bool update_matrix(const UpdateContext& context, const TensorState& tensor) {
  const auto& [options, step, workspace, threads] = context;
  const std::size_t rows = rows_of(tensor.parameter);
  const std::size_t columns = columns_of(tensor.parameter);
  const std::span<float> direction = workspace.first(tensor.values.size());
  math::nesterov(static_cast<float>(options.momentum), static_cast<float>(step.grad_factor), tensor.gradient,
                 tensor.slots[0], threads);
  math::orthogonalize(rows, columns, tensor.gradient, direction, workspace.subspan(direction_size(tensor.parameter)),
                      threads);
  const double scale = kAdamWScale * std::sqrt(static_cast<double>(std::max(rows, columns)));
  const double decay = 1 - step.lr * static_cast<double>(tensor.weight_decay(options));
  return math::decay_and_step(static_cast<float>(decay), static_cast<float>(step.lr * scale), direction, tensor.values,
                              tensor.gradient, threads);
}

bool muon(const UpdateContext& context, const TensorState& tensor) {
  if (is_hidden_matrix(tensor.parameter)) return update_matrix(context, tensor);
  return update_by_adamw(context, tensor, tensor.slots[1], tensor.slots[2]);
}

}  // namespace

constinit const UpdateRule kMuon{{.kind = OptimizerKind::muon,
                                  .name = "muon",
                                  .title = "Muon",
                                  .momentum = 0.95,
                                  .beta1 = 0.9,
                                  .beta2 = 0.95,
                                  .has_eps = true},
                                 kMuonSlots,
                                 muon,
                                 is_hidden_matrix,
                                 workspace_size};

}  // namespace ane::train
