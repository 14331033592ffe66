#include "memory.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <vector>

#include <sys/mman.h>

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

Floats::Floats(std::size_t count) : count_(count) {
  if (count == 0) return;
  const std::size_t bytes = count * sizeof(float);
  void* const mapping = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
  if (mapping == MAP_FAILED) throw std::bad_alloc();
  data_ = std::unique_ptr<float, Unmap>(static_cast<float*>(mapping), Unmap{bytes});
#ifdef MADV_HUGEPAGE
  ::madvise(mapping, bytes, MADV_HUGEPAGE);
#endif
  static const std::vector<float> values = pattern();
  for (std::size_t i = 0; i < count; i += kPattern)
    std::memcpy(data_.get() + i, values.data(), std::min(kPattern, count - i) * sizeof(float));
}

void Floats::Unmap::operator()(float* data) const noexcept { ::munmap(data, bytes); }

}  // namespace ane::bench
