#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ane/cli/settings.h"
#include "ane/data/source.h"
#include "ane/model/model.h"
#include "ane/train/observer.h"

/// Formats the lines of --output dashboard in the form of the field's drivers, so that existing dashboards can parse
/// them.
namespace ane::cli {

/// "1.20M of 110.00M parameters (1.09%)": what is trained; empty if everything is.
[[nodiscard]] std::string trained_text(const model::ModelSummary& summary);

/// Dimensions, parameters, kernels.
[[nodiscard]] std::vector<std::string> size_lines(const model::Model& model,
                                                  std::span<const model::KernelInfo> kernels);
/// FLOPs per step: its parts and their total, and those on the device.
[[nodiscard]] std::vector<std::string> flops_lines(const model::Flops& flops);
/// The header of a run: the lines above, with the accumulation between them.
[[nodiscard]] std::vector<std::string> header_lines(const model::Model& model,
                                                    std::span<const model::KernelInfo> kernels,
                                                    const Settings& settings);
/// "Data: ...", with the loss floor if it is known.
[[nodiscard]] std::string data_line(const data::Source& source);
[[nodiscard]] std::string compiled_line(const train::CompileEvent& event);
[[nodiscard]] std::string step_line(const train::StepEvent& event);
[[nodiscard]] std::string batch_line(const train::UpdateEvent& event);
[[nodiscard]] std::string breakdown_line(const train::UpdateEvent& event);
[[nodiscard]] std::string validation_line(const train::ValidationEvent& event);
/// The update, then prompt and continuation with a mark before each line, so that no text is mistaken for a line of the
/// run. Control characters and invalid bytes, which could disturb a terminal, are replaced.
[[nodiscard]] std::string text_sample_lines(const train::TextSampleEvent& event);
[[nodiscard]] std::string checkpoint_line(const train::CheckpointEvent& event);
[[nodiscard]] std::string restart_line(const train::RestartEvent& event);
[[nodiscard]] std::string resumed_line(const train::ResumeEvent& event);

/// A block character for each loss, whose height is its place between the lowest and the highest; empty for fewer than
/// two. A loss that is not finite leaves a gap.
[[nodiscard]] std::string sparkline(std::span<const double> losses);

struct BarState {
  std::int64_t step = 0;
  std::int64_t steps = 0;  ///< 0: not known
  double loss = 0;
  double ms_per_step = 0;  ///< including compiles, which the remaining time depends on
  double tokens_per_step = 0;
  std::vector<double> recent_losses{};  ///< for a sparkline; empty if the terminal cannot show one
};
/// "[====    ] 25/100 loss 2.5000 SPARKLINE 1.2k tok/s 1:15 left" in less than `columns` columns. What does not fit is
/// omitted: first the sparkline, then the speed, the remaining time and the loss. The bar fills the room that is left.
[[nodiscard]] std::string progress_bar(const BarState& state, int columns);
/// A bar of which `part` is filled, followed by `text`, in less than `columns` columns; only the text, cut off if
/// necessary, where there is no room for a bar. The text is ASCII, or shorter than `columns`.
[[nodiscard]] std::string bar_with(const std::string& text, double part, int columns);

}  // namespace ane::cli
