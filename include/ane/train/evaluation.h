#pragma once

#include <atomic>
#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "ane/data/source.h"
#include "ane/model/model.h"

namespace ane::train {

/// The loss of a model on held-out sequences.
struct Evaluation {
  double loss = 0;                        ///< mean over the tokens that count, in nats; NaN if none does
  double loss_sum = 0;                    ///< of the sequences
  double loss_sequences = 0;              ///< sum of StepResult::loss_share
  std::size_t sequences = 0;              ///< evaluated; fewer than requested if it was stopped
  std::optional<std::string> overflow{};  ///< why the loss cannot be used, if so: the tensor that overflowed
};

/// Evaluates `count` held-out sequences of `source` from number `first`. The kernels must hold the weights of
/// `parameters` for PassMode::forward. Ends early if `stop` becomes true.
[[nodiscard]] Evaluation evaluate(model::Model& model, const data::Source& source, std::span<const float> parameters,
                                  std::size_t first, std::size_t count, const std::atomic<bool>& stop);

}  // namespace ane::train
