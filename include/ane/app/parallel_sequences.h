#pragma once

#include <cstddef>

#include "ane/cli/settings.h"
#include "ane/device/device.h"

namespace ane::app {

/// Number of batch slots of the host device for `threads` threads: the user's choice; else several for a small model
/// (at most one per thread, dividing a batch into equal rounds), and one if that would leave threads idle in a
/// medium-sized model. Throws UsageError if there are fewer threads than the user's slots.
[[nodiscard]] int parallel_sequences(const cli::Settings& settings, int threads);

/// Number of free surfaces to keep: the setting's number for each batch slot of `device`.
[[nodiscard]] std::size_t surfaces_to_keep(const cli::Settings& settings, const device::Device& device, int sequences);

}  // namespace ane::app
