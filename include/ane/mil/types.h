#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ane::mil {

/// Element types of MIL text, where `boolean` and `string` are spelled `bool` and `string`.
enum class DType : std::uint8_t {
  fp16,
  fp32,
  int8,
  uint8,
  int16,
  uint16,
  int32,
  uint32,
  int64,
  uint64,
  boolean,
  string
};

[[nodiscard]] std::string_view name(DType dtype) noexcept;
[[nodiscard]] std::optional<DType> dtype_from_name(std::string_view name) noexcept;
/// Bytes of one element; 0 for string.
[[nodiscard]] std::size_t element_bytes(DType dtype) noexcept;
[[nodiscard]] constexpr bool is_float(DType dtype) noexcept { return dtype == DType::fp16 || dtype == DType::fp32; }

/// Dimensions, outermost first. Empty for a scalar.
using Shape = std::vector<std::int64_t>;

/// Bounds that `verify` enforces for every value.
inline constexpr std::size_t kMaxRank = 8;
inline constexpr std::int64_t kMaxDimension = (std::int64_t{1} << 31) - 1;

/// Product of the dimensions (1 for a scalar). Throws Error if one is negative or the product exceeds 2^40.
[[nodiscard]] std::int64_t element_count(const Shape& shape);
[[nodiscard]] std::string to_string(const Shape& shape);  ///< "[1, 64, 1, 32]"

struct TensorType {
  DType dtype = DType::fp16;
  Shape shape;

  [[nodiscard]] bool is_scalar() const noexcept { return shape.empty(); }
  friend bool operator==(const TensorType&, const TensorType&) = default;
};

[[nodiscard]] std::string to_string(const TensorType& type);  ///< "fp16 [1, 64, 1, 32]"

/// Layout of a tensor in a surface (ane.md 1.4, A1, A2): rows of the last dimension start at multiples of 64 bytes,
/// everything else is packed, and data start at byte 0.
struct SurfaceLayout {
  std::size_t rows = 0;          ///< product of all dimensions but the last
  std::size_t row_elements = 0;  ///< the last dimension; 1 for a scalar
  std::size_t row_bytes = 0;     ///< pitch between rows
  std::size_t size_bytes = 0;    ///< rows * row_bytes: the minimum size of a surface
  [[nodiscard]] bool is_packed(DType dtype) const noexcept { return row_bytes == row_elements * element_bytes(dtype); }
};
[[nodiscard]] SurfaceLayout surface_layout(const TensorType& type);

}  // namespace ane::mil
