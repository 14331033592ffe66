#include "windows.h"

#include <algorithm>
#include <string>

#include <fmt/format.h>

#include "infer.h"

namespace ane::mil {
namespace {

struct Padding {
  std::string kind;
  std::vector<std::int64_t> custom;
  bool ceil = false;
};

Padding padding_of(const OpView& op, std::size_t spatial) {
  Padding padding{op.text("pad_type", "valid"), op.integers("pad", std::vector<std::int64_t>(2 * spatial, 0)),
                  op.flag("ceil_mode", false)};
  require_one_of(op, "pad_type", padding.kind, {"valid", "custom", "same", "same_lower"});
  require_length(op, "pad", padding.custom, 2 * spatial);
  return padding;
}

void place_padding(const OpView& op, const Padding& padding, std::size_t index, ConvDimension& dim) {
  const std::int64_t reach = dim.dilation * (dim.kernel - 1) + 1;
  if (padding.kind == "custom") {
    dim.pad_begin = padding.custom[2 * index];
    dim.pad_end = padding.custom[2 * index + 1];
    if (dim.pad_begin < 0 || dim.pad_end < 0) fail(op, "argument 'pad' has a negative element");
  } else if (padding.kind != "valid") {
    const std::int64_t out = (dim.in + dim.stride - 1) / dim.stride;
    const std::int64_t total = std::max<std::int64_t>(0, (out - 1) * dim.stride + reach - dim.in);
    dim.pad_begin = padding.kind == "same" ? total / 2 : total - total / 2;
    dim.pad_end = total - dim.pad_begin;
  }
  const std::int64_t room = dim.in + dim.pad_begin + dim.pad_end - reach;
  if (room < 0)
    fail(op, fmt::format("the kernel does not fit: it reaches over {} elements of spatial dimension {}, which has {} "
                         "with its padding; {}",
                         reach, index, room + reach, describe(op, {"x"})));
  dim.out = (padding.ceil ? room + dim.stride - 1 : room) / dim.stride + 1;
  const bool padded = dim.pad_begin + dim.pad_end > 0;
  if (padding.ceil && padded && (dim.out - 1) * dim.stride >= dim.in + dim.pad_begin) --dim.out;
}

}  // namespace

std::vector<std::int64_t> positive_list(const OpView& op, std::string_view argument, std::size_t length) {
  std::vector<std::int64_t> list = op.integers(argument, std::vector<std::int64_t>(length, 1));
  require_length(op, argument, list, length);
  for (const std::int64_t element : list)
    if (element < 1) fail(op, fmt::format("argument '{}' must be positive, found {}", argument, element));
  return list;
}

std::vector<ConvDimension> windows(const OpView& op, const std::vector<std::int64_t>& kernel,
                                   const std::vector<std::int64_t>& dilations) {
  const Shape& x = op.type("x").shape;
  const auto strides = positive_list(op, "strides", kernel.size());
  const Padding padding = padding_of(op, kernel.size());
  std::vector<ConvDimension> dimensions;
  for (std::size_t i = 0; i < kernel.size(); ++i) {
    ConvDimension dim{x[i + 2], kernel[i], 0, strides[i], dilations[i], 0, 0};
    place_padding(op, padding, i, dim);
    dimensions.push_back(dim);
  }
  return dimensions;
}

}  // namespace ane::mil
