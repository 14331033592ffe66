#include "ane/app/parallel_sequences.h"

#include <fmt/format.h>

#include "ane/core/checked.h"
#include "ane/core/error.h"

namespace ane::app {
namespace {

/// Size of a sequence's residual, a measure of the work that can be divided among threads. Two batch slots on two
/// threads are 25% faster at 2^13, 8% at 2^16, and not faster at 2^18 (bench_step --parallel-sequences).
constexpr std::int64_t kTinyStream = 1 << 15;
constexpr std::int64_t kSmallStream = 1 << 17;

}  // namespace

int parallel_sequences(const cli::Settings& settings, int threads) {
  if (settings.family == model::Family::mlp) return 1;
  if (settings.parallel_sequences > threads)
    throw UsageError(fmt::format(
        "--parallel-sequences {} needs one thread for each, but there are {}; use --threads {} or fewer sequences",
        settings.parallel_sequences, threads, settings.parallel_sequences));
  if (settings.parallel_sequences > 0) return static_cast<int>(settings.parallel_sequences);
  const std::int64_t stream = settings.dim * settings.seq;
  if (stream > kSmallStream) return 1;
  const auto rounds = ceil_div<std::int64_t>(settings.accum_steps, threads);
  const std::int64_t sequences = ceil_div(settings.accum_steps, rounds);
  const bool idle_in_the_last = settings.accum_steps % sequences != 0;
  return stream > kTinyStream && idle_in_the_last ? 1 : static_cast<int>(sequences);
}

std::size_t surfaces_to_keep(const cli::Settings& settings, const device::Device& device, int sequences) {
  return static_cast<std::size_t>(settings.surface_pool) *
         static_cast<std::size_t>(device.shares_cpu() ? sequences : 1);
}

}  // namespace ane::app
