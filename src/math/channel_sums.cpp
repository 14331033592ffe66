#include <algorithm>
#include <array>
#include <cassert>
#include <numeric>

#include "ane/math/nn.h"

namespace ane::math {
namespace {

/// In a fixed number of partial sums, which compilers turn into vector registers.
float sum_of(std::span<const float> values) {
  std::array<float, 16> partial{};
  std::size_t i = 0;
  for (; i + partial.size() <= values.size(); i += partial.size())
    for (std::size_t lane = 0; lane < partial.size(); ++lane) partial[lane] += values[i + lane];
  for (std::size_t lane = 0; i < values.size(); ++i, ++lane) partial[lane] += values[i];
  return std::accumulate(partial.begin(), partial.end(), 0.0F);
}

}  // namespace

void add_channel_sums(std::span<const float> x, std::size_t seq_len, std::span<float> sums, ThreadPool& pool) {
  assert(seq_len > 0 && x.size() % (seq_len * sums.size()) == 0);
  constexpr std::size_t kElementsPerThread = 16384;
  const std::size_t channels = x.size() / seq_len;
  pool.parallel_for(sums.size(), std::max<std::size_t>(1, kElementsPerThread * sums.size() / x.size()),
                    [&](Range range) {
                      for (std::size_t i = range.begin; i < range.end; ++i)
                        for (std::size_t channel = i; channel < channels; channel += sums.size())
                          sums[i] += sum_of(x.subspan(channel * seq_len, seq_len));
                    });
}

}  // namespace ane::math
