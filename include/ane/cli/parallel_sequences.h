#pragma once

#include "ane/cli/settings.h"

namespace ane::cli {

/// How many sequences the host is to compute side by side, with so many threads: what the user chose; else several for
/// a small model, as many as there are threads for but in equal rounds of a batch. Throws UsageError if there are not
/// as many threads.
[[nodiscard]] int parallel_sequences(const Settings& settings, int threads);

}  // namespace ane::cli
