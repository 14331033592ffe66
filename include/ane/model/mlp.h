#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ane/core/mapped_memory.h"
#include "ane/model/config.h"
#include "ane/model/kernel_bank.h"
#include "ane/model/kernel_options.h"
#include "ane/model/model.h"

namespace ane::model {

/// y = W2 relu(W1 x).
///   in  x [D]
///   out y [D], h [H] after relu
[[nodiscard]] KernelDefinition mlp_fwd(const ModelConfig& config, const KernelOptions& options);

/// Backward through W2 and relu.
///   in  dy [D], h [H]
///   out dh [H], before relu
[[nodiscard]] KernelDefinition mlp_bwd(const ModelConfig& config, const KernelOptions& options);

/// Both as a plan: a single feed-forward layer.
[[nodiscard]] KernelPlan mlp_plan(const ModelConfig& config, const KernelOptions& options);

/// The smoke-test MLP: two linear layers "w1.weight" [H, D] and "w2.weight" [D, H]; the loss is the mean of (y -
/// target)^2 over all elements.
class Mlp final : public Model {
 public:
  /// Throws UsageError for a configuration that check() rejects.
  Mlp(const ModelConfig& config, const KernelOptions& options, const ModelContext& context);

  [[nodiscard]] const ModelConfig& config() const noexcept override { return config_; }
  [[nodiscard]] const ParameterLayout& parameters() const override { return layout_; }
  [[nodiscard]] ModelSummary summary() const override;
  /// Normal with deviation 1 / sqrt(inputs), so that activations keep their size.
  void initialize(std::span<float> parameters, std::uint64_t seed) const override;

  [[nodiscard]] Kernels& kernels() noexcept override { return kernels_; }
  [[nodiscard]] const Kernels& kernels() const noexcept override { return kernels_; }

  [[nodiscard]] std::size_t batch_slots() const noexcept override { return 1; }
  void step(std::span<const data::Sample> samples, std::span<const float> parameters, float loss_scale,
            std::span<float> gradients, std::span<StepResult> results, StepTimes& times) override;
  void evaluate(std::span<const data::Sample> samples, std::span<const float> parameters, std::span<StepResult> results,
                StepTimes& times) override;

 private:
  [[nodiscard]] StepResult step_one(const data::Sample& sample, float loss_scale, std::span<float> gradients,
                                    StepTimes& times);
  [[nodiscard]] StepResult evaluate_one(const data::Sample& sample, StepTimes& times);
  void check_sample(const data::Sample& sample) const;

  ModelConfig config_;
  ModelContext context_;
  ParameterLayout layout_;
  KernelBank kernels_;
  MappedMemory memory_;
  std::span<float> y_, dy_;  ///< [D, S]
  std::span<float> h_, dh_;  ///< [H, S]
};

}  // namespace ane::model
