#include "kernels/matrix_parts.h"

#include <algorithm>

#include "ane/core/checked.h"
#include "ane/mil/ane_rules.h"

namespace ane::model {

namespace {

constexpr std::size_t kChannelMultiple = 64;  // channel counts that are usual (A48)

std::vector<math::Range> ranges(std::size_t size, std::size_t parts) {
  const std::size_t length = round_up(ceil_div(size, parts), kChannelMultiple);
  std::vector<math::Range> all;
  for (std::size_t begin = 0; begin < size; begin += length) all.push_back({begin, std::min(begin + length, size)});
  return all;
}

}  // namespace

MatrixParts matrix_parts(std::size_t out, std::size_t in, std::size_t seq_len, mil::DType element) {
  constexpr auto kLongestSum = static_cast<std::size_t>(mil::kLongContraction) - 1;
  const std::vector<math::Range> inputs = ranges(in, ceil_div(in, kLongestSum / kChannelMultiple * kChannelMultiple));
  const std::size_t summed = inputs.front().size();
  const auto bytes = [&](std::size_t outputs) {
    return (outputs * summed + (summed + outputs) * seq_len) * mil::element_bytes(element);
  };
  std::size_t parts = 1;
  if (bytes(kChannelMultiple) > mil::kOnChipBytes) return {ranges(out, 1), inputs};  // the input alone is too large
  while (bytes(ranges(out, parts).front().size()) > mil::kOnChipBytes &&
         ranges(out, parts).front().size() > kChannelMultiple)
    ++parts;
  return {ranges(out, parts), inputs};
}

}  // namespace ane::model
