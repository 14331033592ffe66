#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ane/mil/geometry.h"

#include "lower/view.h"
#include "run/memory.h"

namespace ane::device::host {

/// The values around the elements of a padded tensor.
enum class PadMode : std::uint8_t { constant, reflect, replicate };

/// Copies x into the middle of a larger packed tensor and pads around it. 4-byte elements.
class Pad {
 public:
  /// `axes`: one for each axis of x. `fill_bits`: the fill value of PadMode::constant.
  Pad(const View& x, const View& out, std::span<const mil::PadAxis> axes, PadMode mode, std::int32_t fill_bits);
  void run(const RunContext& context) const;

 private:
  struct Axis {
    std::int64_t size = 0;  ///< of x
    std::int64_t before = 0;
    std::int64_t after = 0;
    std::int64_t stride = 0;  ///< of x
    [[nodiscard]] std::int64_t padded() const noexcept { return before + size + after; }
  };
  static constexpr std::int64_t kFill = -1;
  [[nodiscard]] std::int64_t source(const Axis& axis, std::int64_t at) const;
  void run_rows(const RunContext& context, math::Range range) const;
  void run_row(const std::int32_t* in, std::int32_t* out) const;

  Slot x_;
  Slot out_;
  std::vector<Axis> axes_;
  PadMode mode_;
  std::int32_t fill_bits_;
};

}  // namespace ane::device::host
