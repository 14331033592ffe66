#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "ane/mil/geometry.h"

/// The windows that convolution and pooling move over the spatial dimensions of x, from `strides`, `pad_type`, `pad`
/// and `ceil_mode`. All throw TypeError.
namespace ane::mil {

/// A list of `length` elements of at least 1; all 1 if it is not given.
[[nodiscard]] std::vector<std::int64_t> positive_list(const OpView& op, std::string_view argument, std::size_t length);

/// One window for each of the dimensions of x from the third on.
[[nodiscard]] std::vector<ConvDimension> windows(const OpView& op, const std::vector<std::int64_t>& kernel,
                                                 const std::vector<std::int64_t>& dilations);

}  // namespace ane::mil
