#include "ane/math/half.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cstdint>
#include <type_traits>

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

constexpr std::size_t kTile = 32;  // halves per cache line, so that each line of the result is written at once

// turned[c][r] = tile[r][c] for `height` rows and `width` columns, one by one.
void transpose_elements(const Half* tile, std::size_t height, std::size_t width, Half* turned, std::size_t stride) {
  for (std::size_t c = 0; c < width; ++c) {
    for (std::size_t r = 0; r < height; ++r) turned[c * stride + r] = tile[r * kTile + c];
  }
}

#if HWY_TARGET == HWY_SCALAR

void transpose_8x8(const Half* tile, Half* turned, std::size_t stride) {
  transpose_elements(tile, 8, 8, turned, stride);
}

#else

// An element's index has six bits, three of the row and three of the column. This moves the row's highest bit to the
// column's lowest; applying it three times transposes.
template <class D, class V>
HWY_INLINE void interleave_halves(D d, V& r0, V& r1, V& r2, V& r3, V& r4, V& r5, V& r6, V& r7) {
  const V low0 = hn::InterleaveLower(d, r0, r4);
  const V high0 = hn::InterleaveUpper(d, r0, r4);
  const V low1 = hn::InterleaveLower(d, r1, r5);
  const V high1 = hn::InterleaveUpper(d, r1, r5);
  const V low2 = hn::InterleaveLower(d, r2, r6);
  const V high2 = hn::InterleaveUpper(d, r2, r6);
  const V low3 = hn::InterleaveLower(d, r3, r7);
  const V high3 = hn::InterleaveUpper(d, r3, r7);
  r0 = low0;
  r1 = high0;
  r2 = low1;
  r3 = high1;
  r4 = low2;
  r5 = high2;
  r6 = low3;
  r7 = high3;
}

void transpose_8x8(const Half* tile, Half* turned, std::size_t stride) {
  const hn::FixedTag<Half, 8> d;
  auto r0 = hn::LoadU(d, tile);
  auto r1 = hn::LoadU(d, tile + kTile);
  auto r2 = hn::LoadU(d, tile + 2 * kTile);
  auto r3 = hn::LoadU(d, tile + 3 * kTile);
  auto r4 = hn::LoadU(d, tile + 4 * kTile);
  auto r5 = hn::LoadU(d, tile + 5 * kTile);
  auto r6 = hn::LoadU(d, tile + 6 * kTile);
  auto r7 = hn::LoadU(d, tile + 7 * kTile);
  for (int bit = 0; bit < 3; ++bit) interleave_halves(d, r0, r1, r2, r3, r4, r5, r6, r7);
  hn::StoreU(r0, d, turned);
  hn::StoreU(r1, d, turned + stride);
  hn::StoreU(r2, d, turned + 2 * stride);
  hn::StoreU(r3, d, turned + 3 * stride);
  hn::StoreU(r4, d, turned + 4 * stride);
  hn::StoreU(r5, d, turned + 5 * stride);
  hn::StoreU(r6, d, turned + 6 * stride);
  hn::StoreU(r7, d, turned + 7 * stride);
}

#endif

void transpose_tile(const Half* tile, std::size_t height, std::size_t width, Half* turned, std::size_t stride) {
  const std::size_t whole_height = height / 8 * 8;
  const std::size_t whole_width = width / 8 * 8;
  for (std::size_t c = 0; c < whole_width; c += 8) {
    for (std::size_t r = 0; r < whole_height; r += 8) {
      transpose_8x8(tile + r * kTile + c, turned + c * stride + r, stride);
    }
  }
  transpose_elements(tile + whole_height * kTile, height - whole_height, whole_width, turned + whole_height, stride);
  transpose_elements(tile + whole_width, height, width - whole_width, turned + whole_width * stride, stride);
}

void transpose_to_half_kernel(const float* HWY_RESTRICT from, std::size_t rows, std::size_t columns,
                              Half* HWY_RESTRICT to, std::size_t stride) {
  HWY_ALIGN std::array<Half, kTile * kTile> tile;
  for (std::size_t row = 0; row < rows; row += kTile) {
    const std::size_t height = std::min(kTile, rows - row);
    for (std::size_t column = 0; column < columns; column += kTile) {
      const std::size_t width = std::min(kTile, columns - column);
      for (std::size_t r = 0; r < height; ++r) {
        to_half_kernel(from + (row + r) * columns + column, width, tile.data() + r * kTile);
      }
      transpose_tile(tile.data(), height, width, to + column * stride + row, stride);
    }
  }
}

// Magnitudes compare like their bits as integers, in which NaN is above infinity.
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
  T max = static_cast<T>(hn::GetLane(hn::MaxOfLanes(d, hn::Max(max0, max1))));
  for (; i < count; ++i) max = std::max(max, static_cast<T>(values[i] & magnitude_mask));
  return max;
}

template <class D>
HWY_INLINE auto magnitude_bits([[maybe_unused]] D d, hn::Vec<D> value) {
  const hn::RebindToSigned<D> di;
  return hn::And(hn::BitCast(di, value), hn::Set(di, 0x7FFFFFFF));
}

template <class D>
HWY_INLINE hn::Vec<D> load_float([[maybe_unused]] D d, const float* from) {
  return hn::LoadU(d, from);
}
template <class D>
HWY_INLINE hn::Vec<D> load_float(D d, const Half* from) {
  return load_half(d, from);
}
template <class D>
HWY_INLINE void store_float(hn::Vec<D> value, [[maybe_unused]] D d, float* to) {
  hn::StoreU(value, d, to);
}
template <class D>
HWY_INLINE void store_float(hn::Vec<D> value, [[maybe_unused]] D d, Half* to) {
  store_half(value, d, to);
}

// to = finish(d, i, from), and the largest magnitude of `from`.
template <class From, class To, class Finish>
HWY_INLINE float transfer_with(const From* from, std::size_t count, To* to, const Finish& finish) {
  const hn::ScalableTag<std::int32_t> whole_bits;
  auto largest = hn::Zero(whole_bits);
  std::int32_t largest_of_rest = 0;
  for_each_vector(0, count, [&](auto d, std::size_t i) HWY_ATTR {
    const auto value = load_float(d, from + i);
    if constexpr (std::is_same_v<decltype(d), hn::ScalableTag<float>>) {
      largest = hn::Max(largest, magnitude_bits(d, value));
    } else {
      largest_of_rest = std::max(largest_of_rest, hn::GetLane(magnitude_bits(d, value)));
    }
    store_float(finish(d, i, value), d, to + i);
  });
  return std::bit_cast<float>(std::max(hn::GetLane(hn::MaxOfLanes(whole_bits, largest)), largest_of_rest));
}

template <class From, class To>
float transfer_loop(const From* from, std::size_t count, To* to) {
  return transfer_with(from, count, to, [](auto, std::size_t, auto value) HWY_ATTR { return value; });
}

template <class From>
float transfer_add_loop(const From* from, const float* base, std::size_t count, float* to) {
  return transfer_with(from, count, to, [base](auto d, std::size_t i, auto value) HWY_ATTR {
    return hn::Add(hn::LoadU(d, base + i), value);
  });
}

float transfer_to_half(const float* from, std::size_t count, Half* to) { return transfer_loop(from, count, to); }
float transfer_to_float(const Half* from, std::size_t count, float* to) { return transfer_loop(from, count, to); }
float transfer_floats(const float* from, std::size_t count, float* to) { return transfer_loop(from, count, to); }
float transfer_add_halves(const Half* from, const float* base, std::size_t count, float* to) {
  return transfer_add_loop(from, base, count, to);
}
float transfer_add_floats(const float* from, const float* base, std::size_t count, float* to) {
  return transfer_add_loop(from, base, count, to);
}

float transfer_bfloats(const std::uint16_t* from, std::size_t count, float* to) {
  const hn::ScalableTag<std::int32_t> d;
  const hn::Rebind<std::uint16_t, decltype(d)> halves;
  const std::size_t lanes = hn::Lanes(d);
  const auto mask = hn::Set(d, 0x7FFFFFFF);
  auto largest = hn::Zero(d);
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto bits = hn::ShiftLeft<16>(hn::PromoteTo(d, hn::LoadU(halves, from + i)));
    largest = hn::Max(largest, hn::And(bits, mask));
    hn::StoreU(hn::BitCast(hn::RebindToFloat<decltype(d)>(), bits), hn::RebindToFloat<decltype(d)>(), to + i);
  }
  auto most = std::bit_cast<std::uint32_t>(hn::GetLane(hn::MaxOfLanes(d, largest)));
  for (; i < count; ++i) {
    const std::uint32_t bits = std::uint32_t{from[i]} << 16U;
    most = std::max(most, bits & 0x7FFFFFFFU);
    to[i] = std::bit_cast<float>(bits);
  }
  return std::bit_cast<float>(most);
}

// Copies bits: converting back and forth would be exact except for NaN's payload.
float transfer_halves(const Half* from, std::size_t count, Half* to) {
  const hn::ScalableTag<std::int16_t> d;
  const std::size_t lanes = hn::Lanes(d);
  const auto mask = hn::Set(d, std::int16_t{0x7FFF});
  auto largest = hn::Zero(d);
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto bits = hn::LoadU(d, reinterpret_cast<const std::int16_t*>(from + i));
    largest = hn::Max(largest, hn::And(bits, mask));
    hn::StoreU(bits, d, reinterpret_cast<std::int16_t*>(to + i));
  }
  auto most = static_cast<Half>(hn::GetLane(hn::MaxOfLanes(d, largest)));
  for (; i < count; ++i) {
    most = std::max(most, static_cast<Half>(from[i] & 0x7FFFU));
    to[i] = from[i];
  }
  return to_float(most);
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
HWY_EXPORT(transpose_to_half_kernel);
HWY_EXPORT(max_magnitude_kernel);
HWY_EXPORT(max_magnitude_half_kernel);
HWY_EXPORT(transfer_to_half);
HWY_EXPORT(transfer_to_float);
HWY_EXPORT(transfer_floats);
HWY_EXPORT(transfer_halves);
HWY_EXPORT(transfer_bfloats);
HWY_EXPORT(transfer_add_halves);
HWY_EXPORT(transfer_add_floats);

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
  transpose_to_half(from, rows, columns, to, rows);
}

void transpose_to_half(std::span<const float> from, std::size_t rows, std::size_t columns, std::span<Half> to,
                       std::size_t stride) noexcept {
  assert(from.size() == rows * columns && (columns == 0 || to.size() >= (columns - 1) * stride + rows));
  HWY_DYNAMIC_DISPATCH(transpose_to_half_kernel)(from.data(), rows, columns, to.data(), stride);
}

float max_magnitude(std::span<const float> values) noexcept {
  return HWY_DYNAMIC_DISPATCH(max_magnitude_kernel)(values.data(), values.size());
}

float max_magnitude(std::span<const Half> values) noexcept {
  return HWY_DYNAMIC_DISPATCH(max_magnitude_half_kernel)(values.data(), values.size());
}

float transfer(std::span<const float> from, std::span<Half> to) noexcept {
  assert(from.size() == to.size());
  return HWY_DYNAMIC_DISPATCH(transfer_to_half)(from.data(), from.size(), to.data());
}

float transfer(std::span<const Half> from, std::span<float> to) noexcept {
  assert(from.size() == to.size());
  return HWY_DYNAMIC_DISPATCH(transfer_to_float)(from.data(), from.size(), to.data());
}

float transfer(std::span<const float> from, std::span<float> to) noexcept {
  assert(from.size() == to.size());
  return HWY_DYNAMIC_DISPATCH(transfer_floats)(from.data(), from.size(), to.data());
}

float transfer(std::span<const Half> from, std::span<Half> to) noexcept {
  assert(from.size() == to.size());
  return HWY_DYNAMIC_DISPATCH(transfer_halves)(from.data(), from.size(), to.data());
}

float transfer_bfloat(std::span<const std::uint16_t> from, std::span<float> to) noexcept {
  assert(from.size() == to.size());
  return HWY_DYNAMIC_DISPATCH(transfer_bfloats)(from.data(), from.size(), to.data());
}

float transfer_add(std::span<const Half> from, std::span<const float> base, std::span<float> to) noexcept {
  assert(from.size() == to.size() && base.size() == to.size());
  return HWY_DYNAMIC_DISPATCH(transfer_add_halves)(from.data(), base.data(), from.size(), to.data());
}

float transfer_add(std::span<const float> from, std::span<const float> base, std::span<float> to) noexcept {
  assert(from.size() == to.size() && base.size() == to.size());
  return HWY_DYNAMIC_DISPATCH(transfer_add_floats)(from.data(), base.data(), from.size(), to.data());
}

}  // namespace ane::math

#endif  // HWY_ONCE
