#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ane/cli/terminal_observer.h"
#include "ane/train/log_state.h"
#include "ane/train/observer.h"

/// Formats the lines of --output plain.
namespace ane::cli {

/// Model, device, data and, for text, the loss of a model that knows only the frequencies of bytes.
[[nodiscard]] std::vector<std::string> plain_header(const RunFacts& run);

/// "Training: 20 updates of 10 sequences (640 tokens each); AdamW, learning rate 1.0e-03". `first_step`: completed
/// before the run.
[[nodiscard]] std::string training_line(const model::Model& model, const Settings& settings,
                                        std::int64_t first_step = 0);

/// "update 500/2000 | epoch 1.24 | train 1.931 | val 1.952 (best) 2.82 bits/byte | lr 9.1e-04 | ...". `validation`:
/// of this update, may be null. `bytes_per_token`: of text, if known.
[[nodiscard]] std::string update_line(const train::UpdateLine& line, const train::ValidationEvent* validation,
                                      std::optional<double> bytes_per_token);
/// The beginning of such a line, with the validation alone.
[[nodiscard]] std::string lone_validation_line(const train::ValidationEvent& validation, std::int64_t updates,
                                               std::optional<double> bytes_per_token);
/// Says that the validation loss has not improved for long.
[[nodiscard]] std::string rise_line(const train::BestValidation& best);

}  // namespace ane::cli
