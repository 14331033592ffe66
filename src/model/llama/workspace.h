#pragma once

#include <array>
#include <cstddef>
#include <map>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

#include "ane/core/mapped_memory.h"
#include "ane/model/llama.h"

#include "kernels/layer_runner.h"
#include "kernels/weight_gradient.h"
#include "llama/stages.h"

namespace ane::model {

/// Memory that is reused by all steps, so that only the first step allocates, and a layer's stages with the memory that
/// they use. Activations are [channels, S].
struct Llama::Workspace {
  /// `trained`: the parameters with gradients; others are in `context.frozen`.
  Workspace(const ModelConfig& config, const ParameterLayout& trained, const Adapter& adapter, KernelBank& kernels,
            const ModelContext& context, std::size_t slot);

  /// A NormStage of one layer.
  struct NormState {
    const Parameter* weight = nullptr;
    std::span<const float> input;
    std::span<float> output, r;     ///< [D, S] and [S] of rms_norm_forward, kept for the backward pass
    std::span<const float> around;  ///< gradient of NormStage::around
    std::span<float> gradient;      ///< of the input
    bool begins_layer = false;      ///< `gradient` belongs to the layer below
  };
  /// A KernelStage of one layer, with the gradients of what is trained.
  struct KernelState {
    struct Product {
      const Parameter* weight;
      std::span<const float> dy, x;
    };
    Phase forward{}, backward{};
    std::array<LayerRunner::Given, 1> forward_given, backward_given;
    std::array<LayerRunner::Wanted, 1> forward_wanted;
    std::vector<LayerRunner::Wanted> backward_wanted;
    std::vector<Product> products;
    std::vector<AdapterGradient> adapters;
    struct Sum {
      const Parameter* parameter;
      std::span<const float> terms;
    };
    std::vector<Sum> sums;
  };
  using LayerStages = std::vector<std::variant<NormState, KernelState>>;

  /// Gradients of one layer that its weight gradients read. Products that overlap with the device may lag by one layer,
  /// so there are then two of these, for even and odd layers; otherwise one.
  struct Operands {
    std::map<std::string_view, std::span<float>> gradients;  ///< [D, S] of residuals, by KernelStage::output
    std::map<std::string_view, std::span<float>> outputs;    ///< of kernels, by name (outputs_read)
    std::map<std::string_view, std::array<std::span<float>, 2>> low_rank;  ///< of AdapterGradient, by WeightProduct
    std::span<float> dy;                ///< [D, S] gradient of the residual after the layer
    GradientProducts::Ticket last = 0;  ///< of the products that read these
  };
  [[nodiscard]] Operands& operands_of(std::size_t layer) { return operands[layer % operands.size()]; }
  /// The operands of the layer below; below the first layer only `dy` is used, as the gradient of the embeddings.
  [[nodiscard]] Operands& operands_below(std::size_t layer) { return operands_of(layer + operands.size() - 1); }

  math::ThreadPool& threads;  ///< of this batch slot
  const FrozenParameters* frozen;
  const Parameter& embedding;
  const Parameter& norm;
  const Parameter& classifier;  ///< may be the embedding
  LayerRunner runner;

  std::vector<LayerStages> layers;
  std::vector<std::span<float>> residual;  ///< [D, S] before each layer and after the last
  std::span<float> final_in;               ///< [D, S] normalized input of the classifier
  std::span<float> final_r;                ///< [S]
  std::span<float> logits;                 ///< [S, V], then their gradient
  std::span<float> classifier_rows;        ///< [kFrozenRows, D] of a frozen classifier, else empty
  std::vector<double> losses;              ///< [S] of each position
  std::span<float> dfinal_rows;            ///< [S, D] gradient of final_in, one row per position
  std::vector<Operands> operands;
  std::span<float> dnorm;  ///< [D, S] gradient of a normalized input

  StepTimes times;  ///< of a step in this batch slot

  MappedMemory memory;                                  ///< backs all spans
  std::vector<GradientProducts::Ticket> last_products;  ///< by layer, for those that are reported
  GradientProducts products;                            ///< last, so that it is destroyed before its operands

 private:
  /// Activations that connect the stages of a layer.
  struct Activations {
    std::map<std::string_view, std::span<float>> tensors;  ///< residuals and outputs of norms
    std::map<std::string_view, std::span<float>> r;        ///< of norms, by output
  };
  template <class Take>
  void lay_out(const ModelConfig& config, std::span<const Stage> stages, std::size_t rank, const KernelPlan& plan,
               std::vector<Activations>& activations, const Take& take);
  [[nodiscard]] NormState bind(const NormStage& stage, std::size_t layer, const Parameter& weight,
                               const Activations& activations);
  [[nodiscard]] KernelState bind(const KernelStage& stage, std::size_t layer, const ParameterLayout& trained,
                                 const Adapter& adapter, const Activations& activations);
};

}  // namespace ane::model
