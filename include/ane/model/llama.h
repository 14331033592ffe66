#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ane/model/kernel_bank.h"
#include "ane/model/kernel_form.h"
#include "ane/model/llama_config.h"
#include "ane/model/model.h"

namespace ane::model {

/// A Llama model. Per layer and step: RMSNorm on the CPU, attention, residual sum,
/// RMSNorm, feed-forward, residual sum; then the final norm, classifier and loss on the CPU; then the same backwards,
/// with weight gradients as CPU products. The memory of a step is allocated here or drawn from the surface pool.
class Llama final : public Model {
 public:
  /// Throws UsageError for a configuration that check() refuses.
  Llama(const LlamaConfig& config, const KernelForm& form, const Engine& engine);
  ~Llama() override;

  [[nodiscard]] const ParameterLayout& parameters() const override { return layout_; }
  [[nodiscard]] ModelSummary summary() const override;
  [[nodiscard]] std::vector<KernelInfo> kernels() const override { return kernels_.infos(); }
  void initialize(std::span<float> parameters, std::uint64_t seed) const override;

  [[nodiscard]] int compiles_needed(KernelSet set) const override { return kernels_.compiles_needed(set); }
  /// If it throws, the model must be compiled again before it runs.
  void compile(KernelSet set, std::span<const float> parameters) override;
  [[nodiscard]] int compiles_ahead() const override { return kernels_.compiles_ahead(); }
  void compile_ahead(std::span<const float> parameters) override;
  void adopt_ahead() override { kernels_.adopt_ahead(); }
  [[nodiscard]] std::optional<std::string> reload(KernelSet set, std::span<const float> parameters) override;
  bool load_weights(KernelSet set, std::span<const float> parameters) override;

  StepResult step(const data::Sample& sample, std::span<const float> parameters, float loss_scale,
                  std::span<float> gradients, StepTimes& times) override;
  StepResult evaluate(const data::Sample& sample, std::span<const float> parameters, StepTimes& times) override;

  /// What the last evaluate() left: [S, V], one row a position. A step() turns them into their gradient.
  [[nodiscard]] std::span<const float> logits() const noexcept;
  /// The residual stream after a layer, in the last step() or evaluate(): [D, S], channel-first.
  [[nodiscard]] std::span<const float> stream(std::size_t layer) const;

 private:
  class Pass;
  struct Workspace;

  LlamaConfig config_;
  Engine engine_;
  ParameterLayout layout_;
  KernelBank kernels_;
  std::unique_ptr<Workspace> workspace_;
};

}  // namespace ane::model
