#include "ane/model/mlp.h"

#include <array>
#include <cmath>

#include <fmt/format.h>

#include "ane/core/checked.h"
#include "ane/core/error.h"

#include "initialize.h"
#include "kernels/activation_memory.h"
#include "kernels/layer_runner.h"
#include "kernels/phase_timer.h"
#include "kernels/weight_gradient.h"
#include "layouts.h"
#include "shape.h"

namespace ane::model {

namespace {

using Given = LayerRunner::Given;
using Wanted = LayerRunner::Wanted;

/// Rounds up so that the next part begins at a multiple of 64 bytes.
std::size_t padded(std::size_t elements) { return round_up<std::size_t>(elements, 16); }

/// Mean of (y - target)^2, summed in index order.
double mean_squared_error(std::span<const float> y, std::span<const float> target) {
  double sum = 0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    const double difference = static_cast<double>(y[i]) - static_cast<double>(target[i]);
    sum += difference * difference;
  }
  return sum / static_cast<double>(y.size());
}

void mean_squared_error_gradient(std::span<const float> y, std::span<const float> target, float grad_scale,
                                 std::span<float> dy) {
  const float factor = 2 * grad_scale / static_cast<float>(y.size());
  for (std::size_t i = 0; i < y.size(); ++i) dy[i] = factor * (y[i] - target[i]);
}

}  // namespace

ParameterLayout mlp_parameters(const ModelConfig& config) {
  check_parameters(config);
  ParameterLayout layout;
  layout.add({"w1.weight", shape_of({config.hidden, config.dim})});
  layout.add({"w2.weight", shape_of({config.dim, config.hidden})});
  return layout;
}

Mlp::Mlp(const ModelConfig& config, const KernelOptions& options, const ModelContext& context)
    : config_(config),
      context_(context),
      layout_(mlp_parameters(config)),
      kernels_(mlp_plan(config, options), options.element, {""}, layout_, context),
      memory_(activation_memory(2 * (padded(config.dim * config.seq_len) + padded(config.hidden * config.seq_len)))) {
  std::span<float> rest(reinterpret_cast<float*>(memory_.data()), memory_.size() / sizeof(float));
  const auto take = [&](std::size_t channels) {
    const std::span<float> part = rest.first(channels * config.seq_len);
    rest = rest.subspan(padded(part.size()));
    return part;
  };
  y_ = take(config.dim);
  dy_ = take(config.dim);
  h_ = take(config.hidden);
  dh_ = take(config.hidden);
}

void Mlp::initialize(std::span<float> parameters, std::uint64_t seed) const {
  for (const Parameter& parameter : layout_.parameters())
    fill_normal(parameter, seed, 1 / std::sqrt(static_cast<double>(parameter.shape.at(1))), parameters,
                context_.threads);
}

ModelSummary Mlp::summary() const {
  const double product = 2.0 * static_cast<double>(config_.dim * config_.hidden) * static_cast<double>(config_.seq_len);
  ModelSummary summary;
  summary.transformer_parameters = layout_.parameter_count();
  summary.trained_parameters = layout_.parameter_count();
  summary.activation_bytes = memory_.size();
  summary.flops_per_step.forward = 2 * product;
  summary.flops_per_step.backward_dx = product;  // through W2; nothing needs the gradient of x
  summary.flops_per_step.backward_dw = 2 * product;
  return summary;
}

void Mlp::step(std::span<const data::Sample> samples, std::span<const float> /*parameters*/, float loss_scale,
               std::span<float> gradients, std::span<StepResult> results, StepTimes& times) {
  for (std::size_t i = 0; i < samples.size(); ++i) results[i] = step_one(samples[i], loss_scale, gradients, times);
}

void Mlp::evaluate(std::span<const data::Sample> samples, std::span<const float> /*parameters*/,
                   std::span<StepResult> results, StepTimes& times) {
  for (std::size_t i = 0; i < samples.size(); ++i) results[i] = evaluate_one(samples[i], times);
}

StepResult Mlp::step_one(const data::Sample& sample, float loss_scale, std::span<float> gradients, StepTimes& times) {
  check_sample(sample);
  LayerRunner runner(kernels_, context_);
  runner.begin(PassMode::training, times);
  runner.run(Phase::ffn_forward, 0, std::array{Given{"x", sample.x}}, std::array{Wanted{"y", y_}, Wanted{"h", h_}});

  double loss = 0;
  {
    const PhaseTimer timer(times.elementwise, context_.spans, "loss");
    loss = mean_squared_error(y_, sample.y);
    mean_squared_error_gradient(y_, sample.y, loss_scale, dy_);
  }
  runner.check_loss(loss);
  if (runner.overflow()) return {loss, runner.overflow()};
  runner.run(Phase::ffn_backward, 0, std::array{Given{"dy", dy_}}, std::array{Wanted{"dh", dh_}});

  const PhaseTimer timer(times.elementwise, context_.spans, "weight gradient");
  compute(weight_gradient(*layout_.find("w2.weight"), dy_, h_, gradients), context_.threads);
  compute(weight_gradient(*layout_.find("w1.weight"), dh_, sample.x, gradients), context_.threads);
  return {loss, runner.overflow()};
}

StepResult Mlp::evaluate_one(const data::Sample& sample, StepTimes& times) {
  check_sample(sample);
  LayerRunner runner(kernels_, context_);
  runner.begin(PassMode::forward, times);
  runner.run(Phase::ffn_forward, 0, std::array{Given{"x", sample.x}}, std::array{Wanted{"y", y_}});
  const double loss = mean_squared_error(y_, sample.y);
  runner.check_loss(loss);
  return {loss, runner.overflow()};
}

void Mlp::check_sample(const data::Sample& sample) const {
  if (sample.x.size() != y_.size() || sample.y.size() != y_.size())
    throw Error(
        fmt::format("a sample has {} and {} values, expected {} of each", sample.x.size(), sample.y.size(), y_.size()));
}

}  // namespace ane::model
