#pragma once

#include <cstdint>
#include <string>

#include "lower/view.h"
#include "run/memory.h"

namespace ane::device::host {

/// out[b, o, j, i] = x[b, o, indices[b, j], i], elements of 4 bytes, all three packed. Negative indices count from the
/// end.
class Gather {
 public:
  struct Sizes {
    std::int64_t batch = 1;    ///< b
    std::int64_t outer = 1;    ///< o
    std::int64_t axis = 1;     ///< of x
    std::int64_t indices = 1;  ///< j, per batch
    std::int64_t inner = 1;    ///< i
  };
  Gather(const View& x, const View& indices, const View& out, const Sizes& sizes, std::string operation)
      : x_(slot(x)), indices_(slot(indices)), out_(slot(out)), sizes_(sizes), operation_(std::move(operation)) {}

  /// Throws DeviceError naming the operation if an index is outside the axis.
  void run(const RunContext& context) const;

 private:
  Slot x_;
  Slot indices_;
  Slot out_;
  Sizes sizes_;
  std::string operation_;
};

}  // namespace ane::device::host
