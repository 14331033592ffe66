#include "memory.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "ane/math/random.h"

namespace ane::bench {
namespace {

constexpr std::size_t kPattern = 1 << 16;
constexpr double kDeviation = 0.1;

std::vector<float> pattern() {
  std::vector<float> values(kPattern);
  math::fill_normal(math::CounterRandom(1, 1), kDeviation, values);
  return values;
}

}  // namespace

Floats::Floats(std::size_t count) {
  if (count == 0) return;
  memory_ = MappedMemory::anonymous(count * sizeof(float));
  static const std::vector<float> values = pattern();
  for (std::size_t i = 0; i < count; i += kPattern)
    std::memcpy(data() + i, values.data(), std::min(kPattern, count - i) * sizeof(float));
}

}  // namespace ane::bench
