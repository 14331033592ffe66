#include "formats/meta_format.h"

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <vector>

namespace ane::model {

void reorder_rows_of_meta(const Parameter& parameter, std::span<float> values) {
  if (parameter.rotated_rows == 0) return;
  const std::size_t rows = parameter.rotated_rows;
  const auto columns = static_cast<std::size_t>(parameter.shape.at(1));
  assert(values.size() == parameter.count && values.size() % (rows * columns) == 0);
  std::vector<float> head(rows * columns);
  for (; !values.empty(); values = values.subspan(head.size())) {
    std::ranges::copy(values.first(head.size()), head.begin());
    for (std::size_t row = 0; row < rows; ++row) {
      const std::size_t to = row / 2 + (row % 2 == 0 ? 0 : rows / 2);
      std::ranges::copy(std::span(head).subspan(row * columns, columns), values.subspan(to * columns).begin());
    }
  }
}

}  // namespace ane::model
