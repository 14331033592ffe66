#include "ane/cli/parallel_sequences.h"

#include <algorithm>

#include <fmt/format.h>

#include "ane/core/error.h"

namespace ane::cli {
namespace {

/// Values in the residual stream of a sequence. Below this, sharing a kernel's work among threads costs more than it
/// brings (bench_step --parallel-sequences).
constexpr std::int64_t kSmallStream = 1 << 17;

std::int64_t ceil_div(std::int64_t count, std::int64_t size) { return (count + size - 1) / size; }

}  // namespace

int parallel_sequences(const Settings& settings, int threads) {
  if (settings.arch != Architecture::llama) return 1;
  if (settings.parallel_sequences > threads)
    throw UsageError(
        fmt::format("--parallel-sequences {} needs a thread for each, but there are {}; use --threads {} "
                    "or fewer sequences",
                    settings.parallel_sequences, threads, settings.parallel_sequences));
  if (settings.parallel_sequences > 0) return static_cast<int>(settings.parallel_sequences);
  if (settings.dim * settings.seq > kSmallStream) return 1;
  const std::int64_t rounds = ceil_div(settings.accum_steps, threads);
  return static_cast<int>(ceil_div(settings.accum_steps, rounds));
}

}  // namespace ane::cli
