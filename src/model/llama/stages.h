#pragma once

#include <span>
#include <string_view>
#include <variant>
#include <vector>

#include "ane/model/config.h"
#include "ane/model/kernel_plan.h"

/// A Llama layer as data: an ordered list of stages, each with a forward and a backward part, which are connected by
/// the names of tensors. A layer begins with the residual "x" and ends with the output of its last stage, which is the
/// next layer's "x".
namespace ane::model {

/// RMSNorm on the CPU. In the backward pass, the gradient of `input` is the gradient through the norm plus that of
/// `around`, which bypasses the norm.
struct NormStage {
  std::string_view weight;  ///< parameter of the layer
  std::string_view input;   ///< residual
  std::string_view output;
  std::string_view around;  ///< the residual after the following stage: `input` plus that stage's result
};

/// The gradient of a parameter, on the CPU: dW += dy x^T.
struct WeightProduct {
  std::string_view weight;  ///< parameter of the layer
  /// Tensors of the CPU, or outputs of the stage's kernels.
  std::string_view dy, x;
};

/// The gradient of a parameter that is added to the channels of an activation, or multiplied with them, on the CPU:
/// dp[c % n] += sum over positions of terms[c], with n the number of its elements. A parameter of each head has fewer
/// elements than there are channels.
struct ChannelSum {
  std::string_view parameter;  ///< of the layer, with its suffix
  std::string_view terms;      ///< output of the stage's kernels
};

/// Kernels on the device, whose result is added to the residual. Every kernel plan has kernels for these phases.
struct KernelStage {
  Phase forward;
  Phase backward;
  std::string_view input;     ///< output of a norm; the kernels' "xn"
  std::string_view result;    ///< the kernels' output that is added
  std::string_view residual;  ///< the tensor that it is added to
  std::string_view output;    ///< the sum
  std::string_view gradient;  ///< the kernels' name for the gradient of `result`, which is also that of `output`
  std::vector<WeightProduct> products;
  std::vector<ChannelSum> sums;
};

using Stage = std::variant<NormStage, KernelStage>;

/// What the kernels call the input of a phase and its gradient.
inline constexpr std::string_view kKernelInput = "xn";
inline constexpr std::string_view kKernelInputGradient = "dxn";

/// The stages of a layer in forward order.
[[nodiscard]] std::vector<Stage> llama_stages(const ModelConfig& config);
/// The residual before the first stage.
inline constexpr std::string_view kLayerInput = "x";

/// The outputs of its kernels that the backward part of a stage reads, apart from the gradient of the input.
[[nodiscard]] std::vector<std::string_view> outputs_read(const KernelStage& stage);

/// What the stages provide to and read from the kernels of each phase.
[[nodiscard]] std::vector<PhaseContract> contract_of(std::span<const Stage> stages);

}  // namespace ane::model
