#pragma once

#include <cstdint>

#include "lower/view.h"
#include "run/memory.h"

namespace ane::device::host {

/// Detects, when a kernel is created, whether each row of a constant matrix has at most one nonzero element, as in a
/// permutation or RoPE's rotation: a product with it is then a selection of rows. The result per row is an index and a
/// factor; all indices are negative if the matrix is of another kind.
class RowSelection {
 public:
  struct Row {
    std::int32_t index = 0;
    float factor = 0;
  };
  static constexpr std::int64_t kElements = sizeof(Row) / sizeof(float);  ///< per row of `out`

  /// The last two dimensions of `matrix`, fp32; `out` is packed, [rows * kElements].
  RowSelection(const View& matrix, const View& out);
  void run(const RunContext& context) const;

 private:
  Slot matrix_;
  Slot out_;
  std::int64_t rows_;
  std::int64_t columns_;
  std::int64_t row_stride_;
  std::int64_t column_stride_;
};

}  // namespace ane::device::host
