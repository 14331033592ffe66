#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ane/model/config.h"
#include "ane/model/kernel_bank.h"
#include "ane/model/kernel_options.h"
#include "ane/model/model.h"

namespace ane::model {

class GradientOrder;

/// A Llama model. Per layer and step: RMSNorm on the CPU, attention, residual sum, RMSNorm, feed-forward, residual sum;
/// then the final norm, classifier and loss on the CPU; then the same backward, with weight gradients as CPU products.
/// The memory of a step is allocated here or taken from the surface pool. With several batch slots
/// (ModelContext::slots), each has its own memory and thread. Results then equal those of one thread, except for the
/// gradient of a tied embedding, which is summed in another order.
class Llama final : public Model {
 public:
  /// Throws UsageError for a configuration that check() rejects.
  Llama(const ModelConfig& config, const KernelOptions& options, const ModelContext& context);
  ~Llama() override;

  [[nodiscard]] const ModelConfig& config() const noexcept override { return config_; }
  [[nodiscard]] const ParameterLayout& parameters() const override { return layout_; }
  [[nodiscard]] ModelSummary summary() const override;
  void initialize(std::span<float> parameters, std::uint64_t seed) const override;

  [[nodiscard]] Kernels& kernels() noexcept override { return kernels_; }
  [[nodiscard]] const Kernels& kernels() const noexcept override { return kernels_; }

  [[nodiscard]] std::size_t batch_slots() const noexcept override { return slots_.size(); }
  void step(std::span<const data::Sample> samples, std::span<const float> parameters, float loss_scale,
            std::span<float> gradients, std::span<StepResult> results, StepTimes& times) override;
  void set_gradient_listener(GradientListener* listener) noexcept override { gradient_listener_ = listener; }
  void evaluate(std::span<const data::Sample> samples, std::span<const float> parameters, std::span<StepResult> results,
                StepTimes& times) override;
  [[nodiscard]] std::optional<std::string> next_logits(std::span<const data::Token> text,
                                                       std::span<const float> parameters,
                                                       std::span<float> logits) override;

  /// Logits of the last evaluate(): [S, V], one row per position. step() overwrites them with their gradient.
  [[nodiscard]] std::span<const float> logits() const noexcept;
  /// The residual stream after a layer, in the last step() or evaluate(): [D, S], channel-first.
  [[nodiscard]] std::span<const float> residual(std::size_t layer) const;

 private:
  class Pass;
  struct Workspace;

  template <class Body>
  void run_slots(std::span<const data::Sample> samples, StepTimes& times, const Body& body);

  ModelConfig config_;
  ModelContext context_;
  ParameterLayout layout_;
  KernelBank kernels_;
  std::optional<math::ThreadPool> one_thread_;  ///< of a batch slot, if there are several
  std::vector<std::unique_ptr<Workspace>> slots_;
  std::unique_ptr<GradientOrder> order_;
  GradientListener* gradient_listener_ = nullptr;
};

}  // namespace ane::model
