#include "ane/mil/types.h"

#include <array>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "ane/core/checked.h"
#include "ane/core/error.h"

namespace ane::mil {
namespace {

constexpr std::size_t kRowAlignment = 64;
constexpr std::int64_t kMaxElements = std::int64_t{1} << 40;

struct DTypeInfo {
  std::string_view name;
  std::size_t bytes;
};

constexpr std::array<DTypeInfo, 12> kDTypes{{{"fp16", 2},
                                             {"fp32", 4},
                                             {"int8", 1},
                                             {"uint8", 1},
                                             {"int16", 2},
                                             {"uint16", 2},
                                             {"int32", 4},
                                             {"uint32", 4},
                                             {"int64", 8},
                                             {"uint64", 8},
                                             {"bool", 1},
                                             {"string", 0}}};

const DTypeInfo& info(DType dtype) noexcept { return kDTypes[static_cast<std::size_t>(dtype)]; }

}  // namespace

std::string_view name(DType dtype) noexcept { return info(dtype).name; }

std::optional<DType> dtype_from_name(std::string_view name) noexcept {
  for (std::size_t i = 0; i < kDTypes.size(); ++i)
    if (kDTypes[i].name == name) return static_cast<DType>(i);
  return std::nullopt;
}

std::size_t element_bytes(DType dtype) noexcept { return info(dtype).bytes; }

std::int64_t element_count(const Shape& shape) {
  std::int64_t count = 1;
  for (const std::int64_t dim : shape) {
    if (dim < 0) throw Error(fmt::format("shape {} has a negative dimension", to_string(shape)));
    const auto product = checked_mul(count, dim);
    if (!product || *product > kMaxElements)
      throw Error(fmt::format("shape {} has more than 2^40 elements", to_string(shape)));
    count = *product;
  }
  return count;
}

std::string to_string(const Shape& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

std::string to_string(const TensorType& type) { return fmt::format("{} {}", name(type.dtype), to_string(type.shape)); }

SurfaceLayout surface_layout(const TensorType& type) {
  SurfaceLayout layout;
  layout.row_elements = type.is_scalar() ? 1 : static_cast<std::size_t>(type.shape.back());
  const Shape outer(type.shape.begin(), type.is_scalar() ? type.shape.end() : type.shape.end() - 1);
  // Checks the whole product, so that none of the sizes below can overflow.
  std::ignore = element_count(type.shape);
  layout.rows = static_cast<std::size_t>(element_count(outer));
  layout.row_bytes = round_up(layout.row_elements * element_bytes(type.dtype), kRowAlignment);
  layout.size_bytes = layout.rows * layout.row_bytes;
  return layout;
}

}  // namespace ane::mil
