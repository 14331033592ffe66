#pragma once

#include <memory>

#include "ane/app/compose.h"
#include "ane/app/vocabulary.h"
#include "ane/train/text_sampler.h"

namespace ane::app {

/// The sampler of a run's settings. It runs the kernels of a training run, so it compiles nothing. `context` must
/// outlive it. Throws UsageError for a prompt that the model cannot continue.
[[nodiscard]] std::unique_ptr<train::TextSampler> make_text_sampler(const RunContext& context, Language language);

}  // namespace ane::app
