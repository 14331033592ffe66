#include "run/gather.h"

#include <algorithm>

#include <fmt/format.h>

#include "ane/core/error.h"

namespace ane::device::host {

void Gather::run(const RunContext& context) const {
  const std::int32_t* const x = context.at<std::int32_t>(x_);
  const std::int32_t* const indices = context.at<std::int32_t>(indices_);
  auto* out = context.at<std::int32_t>(out_);
  for (std::int64_t b = 0; b < sizes_.batch; ++b) {
    for (std::int64_t o = 0; o < sizes_.outer; ++o) {
      const std::int32_t* const part = x + (b * sizes_.outer + o) * sizes_.axis * sizes_.inner;
      for (std::int64_t j = 0; j < sizes_.indices; ++j, out += sizes_.inner) {
        const std::int64_t index = indices[b * sizes_.indices + j];
        if (index < -sizes_.axis || index >= sizes_.axis) {
          throw DeviceError(
              fmt::format("gather '{}': index {} is outside the axis of {}", operation_, index, sizes_.axis));
        }
        std::copy_n(part + (index < 0 ? index + sizes_.axis : index) * sizes_.inner, sizes_.inner, out);
      }
    }
  }
}

}  // namespace ane::device::host
