#pragma once

#include <concepts>
#include <cstdint>
#include <optional>

namespace ane {

/// a * b, or nullopt on overflow. For sizes and counts that come from a file or a user.
template <std::integral T>
[[nodiscard]] constexpr std::optional<T> checked_mul(T a, T b) {
  T product{};
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

/// a + b, or nullopt on overflow.
template <std::integral T>
[[nodiscard]] constexpr std::optional<T> checked_add(T a, T b) {
  T sum{};
  if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}

/// ceil(count / size). `count` must not be negative, `size` must be positive.
template <std::integral T>
[[nodiscard]] constexpr T ceil_div(T count, T size) {
  return static_cast<T>(count / size + (count % size != 0 ? 1 : 0));
}

/// The smallest multiple of `step` that is at least `value`. `step` must be positive and the result must fit.
template <std::integral T>
[[nodiscard]] constexpr T round_up(T value, T step) {
  return (value + step - 1) / step * step;
}

}  // namespace ane
