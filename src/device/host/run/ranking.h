#pragma once

#include <cstdint>

#include "lower/view.h"
#include "run/memory.h"

namespace ane::device::host {

/// The indices of the first k elements of each sorted row. Of equal elements the one with the lower index comes first;
/// NaN counts as the greatest.
class Ranking {
 public:
  enum class Order : std::uint8_t { ascending, descending };

  /// x [.., n] of fp32 or, if `integer`, int32; out [.., k] of int32. Both packed.
  Ranking(const View& x, const View& out, Order order, bool integer);
  void run(const RunContext& context) const;

 private:
  template <class T>
  void run_rows(const RunContext& context, math::Range range) const;

  Slot x_;
  Slot out_;
  std::int64_t rows_;
  std::int64_t n_;
  std::int64_t k_;
  Order order_;
  bool integer_;
};

}  // namespace ane::device::host
