#include "copy_bound.h"

#include <algorithm>
#include <cstring>

namespace ane::bench {
namespace {

constexpr std::size_t kGrain = 1024;  // floats

std::size_t floats_to_copy(double bytes) {
  return std::max<std::size_t>(1, static_cast<std::size_t>(bytes / 2 / sizeof(float)));
}

}  // namespace

CopyBound::CopyBound(double bytes, math::ThreadPool& threads)
    : from_(floats_to_copy(bytes)), to_(floats_to_copy(bytes)), threads_(&threads) {}

void CopyBound::run() {
  threads_->parallel_for(from_.size(), kGrain, [this](math::Range range) {
    std::memcpy(to_.data() + range.begin, from_.data() + range.begin, range.size() * sizeof(float));
  });
}

}  // namespace ane::bench
