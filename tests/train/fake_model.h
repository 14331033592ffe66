#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "ane/data/source.h"
#include "ane/math/random.h"
#include "ane/model/model.h"

/// Linear regression y = w . x + b, computed directly, with the life cycle of a real model: kernels keep the parameters
/// they were compiled with, and steps refuse any others.
class FakeModel final : public ane::model::Model, private ane::model::Kernels {
 public:
  static constexpr std::size_t kInputs = 20;

  FakeModel() {
    layout_.add({"w", {1, kInputs}});
    layout_.add({"b", {1}, ane::model::Role::bias});
  }

  const ane::model::ModelConfig& config() const noexcept override { return config_; }
  const ane::model::ParameterLayout& parameters() const override { return layout_; }
  ane::model::ModelSummary summary() const override { return {.flops_per_step = {}}; }
  ane::model::Kernels& kernels() noexcept override { return *this; }
  const ane::model::Kernels& kernels() const noexcept override { return *this; }
  std::vector<ane::model::KernelInfo> infos() const override { return {}; }
  void initialize(std::span<float> parameters, std::uint64_t seed) const override {
    ane::math::fill_normal({seed, 1}, 0.1, slice(parameters, layout_.at(0)));
  }

  /// Two kernels with weights (one of them forward), one without.
  int compiles_needed(ane::model::PassMode mode) const override {
    if (takes_weights) return static_compiled_ ? 0 : 3;
    if (mode == ane::model::PassMode::forward) return 1;
    return static_compiled_ ? 2 : 3;
  }

  void compile(ane::model::PassMode mode, std::span<const float> parameters) override {
    if (fail_compile && fail_compile()) {
      compiled_.clear();
      throw ane::device::CompileError("the compiler is out of sorts");
    }
    if (!takes_weights) compiled_.assign(parameters.begin(), parameters.end());
    mode_ = mode;
    compiles += compiles_needed(mode);
    if (has_workers) by_workers += compiles_needed(mode);
    if (mode == ane::model::PassMode::training) static_compiled_ = true;
  }

  std::int64_t compiled_by_workers() const override { return by_workers; }

  int compiles_ahead() const override { return 2; }
  void compile_ahead(std::span<const float> parameters) override {
    if (on_compile_ahead) on_compile_ahead();
    if (fail_compile && fail_compile()) throw ane::device::CompileError("the compiler is out of sorts");
    ahead_.assign(parameters.begin(), parameters.end());
    compiles += compiles_ahead();
    if (has_workers) by_workers += compiles_ahead();
  }
  void adopt_ahead() override {
    if (ahead_.empty()) throw std::logic_error("nothing was compiled ahead");
    compiled_ = std::exchange(ahead_, {});
    mode_ = ane::model::PassMode::training;
  }

  bool load_weights(ane::model::PassMode /*mode*/, std::span<const float> parameters) override {
    if (!takes_weights) return false;
    compiled_.assign(parameters.begin(), parameters.end());
    ++loads;
    return true;
  }

  std::size_t batch_slots() const noexcept override { return at_once; }
  void step(std::span<const ane::data::Sample> samples, std::span<const float> parameters, float loss_scale,
            std::span<float> gradients, std::span<ane::model::StepResult> results,
            ane::model::StepTimes& times) override {
    if (on_group) on_group(samples.size());
    for (std::size_t i = 0; i < samples.size(); ++i)
      results[i] = step_one(samples[i], parameters, loss_scale, gradients, times);
  }
  void evaluate(std::span<const ane::data::Sample> samples, std::span<const float> parameters,
                std::span<ane::model::StepResult> results, ane::model::StepTimes& /*times*/) override {
    for (std::size_t i = 0; i < samples.size(); ++i) results[i] = evaluate_one(samples[i], parameters);
  }

 private:
  ane::model::StepResult step_one(const ane::data::Sample& sample, std::span<const float> parameters, float loss_scale,
                                  std::span<float> gradients, ane::model::StepTimes& times) {
    if (mode_ != ane::model::PassMode::training) throw std::logic_error("no training kernels");
    times.ane += ane::model::Duration(1000);
    const double error = error_of(sample, parameters);
    // Like fp16 kernels: values beyond 65504 are infinite.
    const auto scaled = static_cast<float>(2 * error) * loss_scale;
    const float dy = std::abs(scaled) > 65504 ? std::numeric_limits<float>::infinity() : scaled;
    for (std::size_t i = 0; i < kInputs; ++i) gradients[i] += dy * sample.x[i];
    gradients[layout_.at(1).offset] += dy;
    ++steps;
    if (on_step) on_step(steps);
    ane::model::StepResult result{.loss = error * error, .overflow = {}};
    if (overflow_in_steps.contains(steps)) result.overflow = "layers.3.ffn_fwd";
    return result;
  }

  ane::model::StepResult evaluate_one(const ane::data::Sample& sample, std::span<const float> parameters) {
    const double error = error_of(sample, parameters);
    ++evaluations;
    if (overflow_in_evaluation && overflow_in_evaluation(evaluations))
      return {.loss = std::numeric_limits<double>::quiet_NaN(), .overflow = "layers.2.attn_fwd"};
    return {.loss = error * error, .overflow = {}};
  }

 public:
  std::size_t at_once = 1;
  std::function<void(std::size_t)> on_group;
  bool takes_weights = false;  ///< dynamic weights: one compile serves all updates
  int compiles = 0;
  bool has_workers = false;  ///< other processes compile
  std::int64_t by_workers = 0;
  int loads = 0;
  int steps = 0;  ///< forward and backward passes
  std::set<int> overflow_in_steps;
  int evaluations = 0;
  std::function<bool(int)> overflow_in_evaluation;
  std::function<void(int)> on_step;
  std::function<bool()> fail_compile;
  std::function<void()> on_compile_ahead;  ///< called on the compiling thread

 private:
  double error_of(const ane::data::Sample& sample, std::span<const float> parameters) const {
    if (!std::equal(parameters.begin(), parameters.end(), compiled_.begin(), compiled_.end()))
      throw std::logic_error("kernels of other parameters");
    double y = compiled_[layout_.at(1).offset];
    for (std::size_t i = 0; i < kInputs; ++i) y += double{compiled_[i]} * double{sample.x[i]};
    return y - double{sample.y[0]};
  }

  ane::model::ModelConfig config_{.family = ane::model::Family::mlp, .dim = kInputs, .hidden = 1, .seq_len = 1};
  ane::model::ParameterLayout layout_;
  std::vector<float> compiled_;
  std::vector<float> ahead_;
  ane::model::PassMode mode_ = ane::model::PassMode::forward;
  bool static_compiled_ = false;
};

/// Samples of a noisy line; those in `poisoned` contain a NaN.
class FakeSource final : public ane::data::Source {
 public:
  std::string description() const override { return "a noisy line"; }
  std::string identity() const override { return name; }
  void training_sample(std::uint64_t step, ane::data::Sample& sample) const override {
    fill({42, 1}, step, sample);
    if (poisoned.contains(step)) sample.y[0] = std::numeric_limits<float>::quiet_NaN();
  }
  std::size_t validation_count() const override { return held_out; }
  void validation_sample(std::size_t index, ane::data::Sample& sample) const override { fill({42, 2}, index, sample); }

  std::string name = "line";
  std::size_t held_out = 0;
  std::set<std::uint64_t> poisoned;

 private:
  static void fill(const ane::math::CounterRandom& random, std::uint64_t number, ane::data::Sample& sample) {
    constexpr std::size_t kDraws = FakeModel::kInputs + 1;
    sample.x.resize(FakeModel::kInputs);
    double y = 0.5;
    for (std::size_t i = 0; i < sample.x.size(); ++i) {
      const double x = random.normal(number * kDraws + i);
      sample.x[i] = static_cast<float>(x);
      y += x * (static_cast<double>(i % 5) - 2);
    }
    sample.y = {static_cast<float>(y + 0.01 * random.normal(number * kDraws + FakeModel::kInputs))};
  }
};

/// Mean loss of the first `count` held-out samples.
inline double validation_loss(const ane::data::Source& source, std::size_t count, std::span<const float> parameters) {
  FakeModel model;
  model.kernels().compile(ane::model::PassMode::forward, parameters);
  std::vector<ane::data::Sample> samples(count);
  for (std::size_t i = 0; i < count; ++i) source.validation_sample(i, samples[i]);
  std::vector<ane::model::StepResult> results(count);
  ane::model::StepTimes times;
  model.evaluate(samples, parameters, results, times);
  double loss = 0;
  for (const ane::model::StepResult& result : results) loss += result.loss;
  return loss / static_cast<double>(count);
}
