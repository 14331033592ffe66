#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "ane/model/parameters.h"

namespace ane::test {

/// Values of a tensor in Meta's order of rows, in which RoPE rotates rows (2i, 2i+1) of a head, in the order of the
/// program, which rotates (i, i + head_dim/2). Independent of the program's own conversion.
inline std::vector<float> from_meta_rows(const model::Parameter& parameter, std::span<const float> values) {
  std::vector<float> reordered(values.begin(), values.end());
  if (parameter.rotated_rows == 0) return reordered;
  const std::size_t half = parameter.rotated_rows / 2;
  const auto columns = static_cast<std::size_t>(parameter.shape.at(1));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t row = i / columns;
    const std::size_t head = row / (2 * half) * (2 * half);
    const std::size_t in_head = row - head;
    const std::size_t source = head + (in_head < half ? 2 * in_head : 2 * (in_head - half) + 1);
    reordered[i] = values[source * columns + i % columns];
  }
  return reordered;
}

}  // namespace ane::test
