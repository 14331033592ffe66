#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ane/core/mapped_memory.h"
#include "ane/model/config.h"
#include "ane/model/kernel_bank.h"
#include "ane/model/kernel_form.h"
#include "ane/model/model.h"

namespace ane::model {

/// y = W2 relu(W1 x).
///   in  x [D]
///   out y [D], h [H] after relu
[[nodiscard]] KernelDefinition mlp_fwd(const ModelConfig& config, const KernelForm& form);

/// Backward through W2 and relu.
///   in  dy [D], h [H]
///   out dh [H], before relu
[[nodiscard]] KernelDefinition mlp_bwd(const ModelConfig& config, const KernelForm& form);

/// Both as a plan: a single feed-forward layer.
[[nodiscard]] KernelPlan mlp_plan(const ModelConfig& config, const KernelForm& form);

/// The smoke-test MLP: two linear layers "w1.weight" [H, D] and "w2.weight" [D, H]; the loss is the mean of (y -
/// target)^2 over all elements.
class Mlp final : public Model {
 public:
  /// Throws UsageError for a configuration that check() rejects.
  Mlp(const ModelConfig& config, const KernelForm& form, const Engine& engine);

  [[nodiscard]] const ModelConfig& config() const noexcept override { return config_; }
  [[nodiscard]] const ParameterLayout& parameters() const override { return layout_; }
  [[nodiscard]] ModelSummary summary() const override;
  [[nodiscard]] std::vector<KernelInfo> kernels() const override { return kernels_.infos(); }
  /// Normal with deviation 1 / sqrt(inputs), so that activations keep their size.
  void initialize(std::span<float> parameters, std::uint64_t seed) const override;

  [[nodiscard]] int compiles_needed(KernelSet set) const override { return kernels_.compiles_needed(set); }
  /// After an exception, the model must be compiled again before it runs.
  void compile(KernelSet set, std::span<const float> parameters) override;
  [[nodiscard]] int compiles_ahead() const override { return kernels_.compiles_ahead(); }
  void compile_ahead(std::span<const float> parameters) override;
  void adopt_ahead() override { kernels_.adopt_ahead(); }
  bool load_weights(KernelSet set, std::span<const float> parameters) override;

  StepResult step(const data::Sample& sample, std::span<const float> parameters, float loss_scale,
                  std::span<float> gradients, StepTimes& times) override;
  StepResult evaluate(const data::Sample& sample, std::span<const float> parameters, StepTimes& times) override;

 private:
  void check_sample(const data::Sample& sample) const;

  ModelConfig config_;
  Engine engine_;
  ParameterLayout layout_;
  KernelBank kernels_;
  MappedMemory memory_;
  std::span<float> y_, dy_;  ///< [D, S]
  std::span<float> h_, dh_;  ///< [H, S]
};

}  // namespace ane::model
