#pragma once

#include <cstdint>
#include <span>

namespace ane::math {

/// IEEE 754 binary16 as raw bits: the element of every fp16 surface and blob.
using Half = std::uint16_t;

inline constexpr float kHalfMax = 65504.0F;

/// Nearest even; overflows to infinity, keeps subnormals, NaN stays NaN.
[[nodiscard]] Half to_half(float value) noexcept;
[[nodiscard]] float to_float(Half value) noexcept;

/// Whole arrays, vectorised. Sizes must be equal.
void to_half(std::span<const float> from, std::span<Half> to) noexcept;
void to_float(std::span<const Half> from, std::span<float> to) noexcept;

/// Replaces each value by the nearest one that fp16 can hold; the storage stays fp32.
void round_to_half(std::span<float> values) noexcept;

/// to[c][r] = from[r][c] for a row-major [rows, columns] matrix, converted on the way (blocks keep both sides in
/// cache).
void transpose_to_half(std::span<const float> from, std::size_t rows, std::size_t columns, std::span<Half> to) noexcept;

/// The largest magnitude, or NaN if any element is NaN; 0 for an empty array. Finite and below a bound is one compare.
[[nodiscard]] float max_magnitude(std::span<const float> values) noexcept;
[[nodiscard]] float max_magnitude(std::span<const Half> values) noexcept;

}  // namespace ane::math
