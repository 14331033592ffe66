#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "memory.h"
#include "view.h"

/// Copies whose places are not an arithmetic progression.
namespace ane::device::host {

/// out[b, o, j, i] = x[b, o, indices[b, j], i], elements of 4 bytes, all three packed. Negative indices count from the
/// end.
class Gather {
 public:
  struct Sizes {
    std::int64_t batch = 1;    ///< b
    std::int64_t outer = 1;    ///< o
    std::int64_t axis = 1;     ///< of x
    std::int64_t indices = 1;  ///< j, a batch
    std::int64_t inner = 1;    ///< i
  };
  Gather(const View& x, const View& indices, const View& out, const Sizes& sizes, std::string operation)
      : x_(slot(x)), indices_(slot(indices)), out_(slot(out)), sizes_(sizes), operation_(std::move(operation)) {}

  /// Throws DeviceError naming the operation if an index lies outside the axis.
  void run(const RunContext& context) const;

 private:
  Slot x_;
  Slot indices_;
  Slot out_;
  Sizes sizes_;
  std::string operation_;
};

/// out[i, j, ..] = x[table[0][i], table[1][j], ..], or `fill` where a table says kFill: padding of every mode. `out` is
/// packed.
class TableCopy {
 public:
  static constexpr std::int64_t kFill = -1;
  TableCopy(const View& x, const View& out, std::vector<Dims> tables, std::int32_t fill_bits);
  void run(const RunContext& context) const;

 private:
  void run_rows(const RunContext& context, math::Range range) const;

  Slot x_;
  Slot out_;
  Dims shape_;
  std::vector<Dims> offsets_;  ///< the tables times the strides of x
  std::vector<std::vector<bool>> fill_;
  std::int32_t fill_bits_;
};

}  // namespace ane::device::host
