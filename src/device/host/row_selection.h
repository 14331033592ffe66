#pragma once

#include <cstdint>

#include "memory.h"
#include "view.h"

namespace ane::device::host {

/// Finds, when a kernel is made, whether each row of a constant matrix has at most one element that is not 0, as a
/// permutation or RoPE's turn of neighbours has: a product with it is then a choice of rows. What is found of a row is
/// an index and a factor; the index is negative throughout if the matrix is another one.
class RowSelection {
 public:
  struct Row {
    std::int32_t index = 0;
    float factor = 0;
  };
  static constexpr std::int64_t kElements = sizeof(Row) / sizeof(float);  ///< of a row, in `out`

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
