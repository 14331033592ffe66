#pragma once

#include <concepts>
#include <cstdint>
#include <optional>

namespace ane {

/// a * b, or nothing if that does not fit. For sizes and counts that come from a file or a user.
template <std::integral T>
[[nodiscard]] constexpr std::optional<T> checked_mul(T a, T b) {
  T product{};
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

/// a + b, or nothing if that does not fit.
template <std::integral T>
[[nodiscard]] constexpr std::optional<T> checked_add(T a, T b) {
  T sum{};
  if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}

/// How many parts of at most `size` make `count`. `count` is not negative, `size` positive.
template <std::integral T>
[[nodiscard]] constexpr T ceil_div(T count, T size) {
  return static_cast<T>(count / size + (count % size != 0 ? 1 : 0));
}

/// The smallest multiple of `step` that is at least `value`. `step` is positive and the result fits.
template <std::integral T>
[[nodiscard]] constexpr T round_up(T value, T step) {
  return (value + step - 1) / step * step;
}

}  // namespace ane
