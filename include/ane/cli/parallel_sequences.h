#pragma once

#include <cstddef>

#include "ane/cli/settings.h"
#include "ane/device/device.h"

namespace ane::cli {

/// How many sequences the host is to compute side by side, with so many threads: what the user chose; else several for
/// a small model, as many as there are threads for but in equal rounds of a batch, and one if that would leave threads
/// idle in a model of middling size. Throws UsageError if there are not as many threads.
[[nodiscard]] int parallel_sequences(const Settings& settings, int threads);

/// Free surfaces to keep: what `settings` say for one sequence, for each of those that `device` runs side by side.
[[nodiscard]] std::size_t surfaces_to_keep(const Settings& settings, const device::Device& device, int sequences);

}  // namespace ane::cli
