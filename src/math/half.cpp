#include "ane/math/half.h"

#include <algorithm>
#include <cassert>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "half.cpp"
#include <hwy/foreach_target.h>
// after foreach_target.h
#include <hwy/highway.h>

#include "ane/math/half-inl.h"

#include "loop-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ane::math::HWY_NAMESPACE {

void to_half_kernel(const float* HWY_RESTRICT from, std::size_t count, Half* HWY_RESTRICT to) {
  for_each_vector(0, count, [&](auto d, std::size_t i) HWY_ATTR { store_half(hn::LoadU(d, from + i), d, to + i); });
}

void to_float_kernel(const Half* HWY_RESTRICT from, std::size_t count, float* HWY_RESTRICT to) {
  for_each_vector(0, count, [&](auto d, std::size_t i) HWY_ATTR { hn::StoreU(load_half(d, from + i), d, to + i); });
}

void round_to_half_kernel(float* values, std::size_t count) {
  for_each_vector(0, count, [&](auto d, std::size_t i) HWY_ATTR {
    hn::StoreU(round_to_half(d, hn::LoadU(d, values + i)), d, values + i);
  });
}

// Magnitudes compare as the integers that their bits are, and NaN is above infinity there.
template <class T>
T max_magnitude_bits(const T* values, std::size_t count, T magnitude_mask) {
  using Signed = hwy::MakeSigned<T>;
  const hn::ScalableTag<Signed> d;
  const std::size_t lanes = hn::Lanes(d);
  const auto* signed_values = reinterpret_cast<const Signed*>(values);
  const auto mask = hn::Set(d, static_cast<Signed>(magnitude_mask));
  auto max0 = hn::Zero(d);
  auto max1 = max0;
  std::size_t i = 0;
  for (; i + 2 * lanes <= count; i += 2 * lanes) {
    max0 = hn::Max(max0, hn::And(mask, hn::LoadU(d, signed_values + i)));
    max1 = hn::Max(max1, hn::And(mask, hn::LoadU(d, signed_values + i + lanes)));
  }
  HWY_ALIGN Signed of_lanes[hn::MaxLanes(d)];
  hn::Store(hn::Max(max0, max1), d, of_lanes);
  T max = static_cast<T>(*std::max_element(of_lanes, of_lanes + lanes));
  for (; i < count; ++i) max = std::max(max, static_cast<T>(values[i] & magnitude_mask));
  return max;
}

float max_magnitude_kernel(const float* values, std::size_t count) {
  const auto* bits = reinterpret_cast<const std::uint32_t*>(values);
  return std::bit_cast<float>(max_magnitude_bits<std::uint32_t>(bits, count, 0x7FFFFFFFU));
}

float max_magnitude_half_kernel(const Half* values, std::size_t count) {
  return to_float(max_magnitude_bits<Half>(values, count, 0x7FFFU));
}

}  // namespace ane::math::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace ane::math {

HWY_EXPORT(to_half_kernel);
HWY_EXPORT(to_float_kernel);
HWY_EXPORT(round_to_half_kernel);
HWY_EXPORT(max_magnitude_kernel);
HWY_EXPORT(max_magnitude_half_kernel);

void to_half(std::span<const float> from, std::span<Half> to) noexcept {
  assert(from.size() == to.size());
  HWY_DYNAMIC_DISPATCH(to_half_kernel)(from.data(), from.size(), to.data());
}

void to_float(std::span<const Half> from, std::span<float> to) noexcept {
  assert(from.size() == to.size());
  HWY_DYNAMIC_DISPATCH(to_float_kernel)(from.data(), from.size(), to.data());
}

void round_to_half(std::span<float> values) noexcept {
  HWY_DYNAMIC_DISPATCH(round_to_half_kernel)(values.data(), values.size());
}

void transpose_to_half(std::span<const float> from, std::size_t rows, std::size_t columns,
                       std::span<Half> to) noexcept {
  assert(from.size() == rows * columns && to.size() == from.size());
  constexpr std::size_t kBlock = 32;
  float turned[kBlock * kBlock];
  for (std::size_t row = 0; row < rows; row += kBlock) {
    const std::size_t height = std::min(kBlock, rows - row);
    for (std::size_t column = 0; column < columns; column += kBlock) {
      const std::size_t width = std::min(kBlock, columns - column);
      for (std::size_t r = 0; r < height; ++r) {
        const float* source = from.data() + (row + r) * columns + column;
        for (std::size_t c = 0; c < width; ++c) turned[c * kBlock + r] = source[c];
      }
      for (std::size_t c = 0; c < width; ++c) {
        HWY_DYNAMIC_DISPATCH(to_half_kernel)(turned + c * kBlock, height, to.data() + (column + c) * rows + row);
      }
    }
  }
}

float max_magnitude(std::span<const float> values) noexcept {
  return HWY_DYNAMIC_DISPATCH(max_magnitude_kernel)(values.data(), values.size());
}

float max_magnitude(std::span<const Half> values) noexcept {
  return HWY_DYNAMIC_DISPATCH(max_magnitude_half_kernel)(values.data(), values.size());
}

}  // namespace ane::math

#endif  // HWY_ONCE
