#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

namespace ane::math {

/// IEEE 754 binary16 as raw bits: the element of every fp16 surface and blob. For use in vector loops: half-inl.h.
using Half = std::uint16_t;

inline constexpr float kHalfMax = 65504.0F;

/// Rounds to nearest even; overflows to infinity, keeps subnormals. NaN stays NaN: quiet, with the upper bits of its
/// payload, like the conversion instructions of x86 and Arm.
[[nodiscard]] constexpr Half to_half(float value) noexcept {
  constexpr std::uint32_t kInfinity = 0x7F800000;
  constexpr std::uint32_t kTooLarge = 0x47800000;     // 2^16
  constexpr std::uint32_t kLeastNormal = 0x38800000;  // 2^-14
  constexpr std::uint32_t kRebias = (127U - 15U) << 23U;
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16U) & 0x8000U;
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
  std::uint32_t half = 0;
  if (magnitude > kInfinity) {
    half = 0x7E00U | ((magnitude >> 13U) & 0x3FFU);
  } else if (magnitude >= kTooLarge) {
    half = 0x7C00U;
  } else if (magnitude >= kLeastNormal) {
    // Adds half a unit in the last place, less one bit if the kept part is even; a carry moves into the exponent, up to
    // infinity.
    half = (magnitude - kRebias + 0xFFFU + ((magnitude >> 13U) & 1U)) >> 13U;
  } else {
    // The last place of 0.5 is 2^-24, like that of subnormal halves, so the addition rounds.
    half = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5F) - std::bit_cast<std::uint32_t>(0.5F);
  }
  return static_cast<Half>(sign | half);
}

/// Exact conversion. NaN becomes quiet and keeps its payload.
[[nodiscard]] constexpr float to_float(Half value) noexcept {
  constexpr std::uint32_t kRebias = (127U - 15U) << 23U;
  const std::uint32_t sign = (value & 0x8000U) << 16U;
  const std::uint32_t magnitude = value & 0x7FFFU;
  std::uint32_t bits = 0;
  if (magnitude >= 0x7C00U) {
    bits = 0x7F800000U | (magnitude << 13U) | (magnitude > 0x7C00U ? 0x400000U : 0U);
  } else if (magnitude >= 0x0400U) {
    bits = (magnitude << 13U) + kRebias;
  } else {
    bits = std::bit_cast<std::uint32_t>(static_cast<float>(magnitude) * 0x1p-24F);
  }
  return std::bit_cast<float>(sign | bits);
}

/// Vectorized conversion of whole arrays, bit-identical to the above. Sizes must be equal.
void to_half(std::span<const float> from, std::span<Half> to) noexcept;
void to_float(std::span<const Half> from, std::span<float> to) noexcept;

/// Converts or copies in one pass and returns the largest magnitude of `from`, like max_magnitude. Sizes must be equal.
[[nodiscard]] float transfer(std::span<const float> from, std::span<Half> to) noexcept;
[[nodiscard]] float transfer(std::span<const Half> from, std::span<float> to) noexcept;
[[nodiscard]] float transfer(std::span<const float> from, std::span<float> to) noexcept;
[[nodiscard]] float transfer(std::span<const Half> from, std::span<Half> to) noexcept;
/// The same from bfloat16, the upper halves of floats.
[[nodiscard]] float transfer_bfloat(std::span<const std::uint16_t> from, std::span<float> to) noexcept;

/// The same, with to = base + from; `to` may be `base`.
[[nodiscard]] float transfer_add(std::span<const Half> from, std::span<const float> base, std::span<float> to) noexcept;
[[nodiscard]] float transfer_add(std::span<const float> from, std::span<const float> base,
                                 std::span<float> to) noexcept;

/// Rounds each value to fp16; the storage stays fp32.
void round_to_half(std::span<float> values) noexcept;

/// to[c][r] = from[r][c] with conversion, for a row-major [rows, columns] matrix (in blocks that fit in the cache).
void transpose_to_half(std::span<const float> from, std::size_t rows, std::size_t columns, std::span<Half> to) noexcept;
/// The same with `stride` elements from each row of `to` to the next.
void transpose_to_half(std::span<const float> from, std::size_t rows, std::size_t columns, std::span<Half> to,
                       std::size_t stride) noexcept;

/// The largest magnitude, or NaN if any element is NaN; 0 for an empty array. One comparison with a bound thus also
/// rejects NaN and infinity.
[[nodiscard]] float max_magnitude(std::span<const float> values) noexcept;
[[nodiscard]] float max_magnitude(std::span<const Half> values) noexcept;

}  // namespace ane::math
