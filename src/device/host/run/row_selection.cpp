#include "run/row_selection.h"

#include <algorithm>
#include <optional>
#include <span>

namespace ane::device::host {
namespace {

/// nullopt if a second element is not 0, which is usually detected after two or three elements.
std::optional<RowSelection::Row> only_element(const float* row, std::int64_t count, std::int64_t stride) {
  std::optional<RowSelection::Row> found;
  for (std::int64_t i = 0; i < count; ++i) {
    const float value = row[i * stride];
    if (value == 0) continue;
    if (found) return std::nullopt;
    found = {static_cast<std::int32_t>(i), value};
  }
  return found.value_or(RowSelection::Row{});
}

}  // namespace

RowSelection::RowSelection(const View& matrix, const View& out)
    : matrix_(slot(matrix)),
      out_(slot(out)),
      rows_(matrix.shape[matrix.rank() - 2]),
      columns_(matrix.shape[matrix.rank() - 1]),
      row_stride_(matrix.strides[matrix.rank() - 2]),
      column_stride_(matrix.strides[matrix.rank() - 1]) {}

void RowSelection::run(const RunContext& context) const {
  const float* const matrix = context.at<float>(matrix_);
  const std::span<Row> rows(context.at<Row>(out_), static_cast<std::size_t>(rows_));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::optional<Row> row =
        only_element(matrix + static_cast<std::int64_t>(i) * row_stride_, columns_, column_stride_);
    if (!row) {
      std::ranges::fill(rows, Row{.index = -1, .factor = 0});
      return;
    }
    rows[i] = *row;
  }
}

}  // namespace ane::device::host
