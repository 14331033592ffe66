// fp16 in Highway loops: converts between a vector of floats and halves in memory, bit-identical to ane/math/half.h on
// every target. Highway's own PromoteTo and DemoteTo mishandle NaN, infinity and rounding where x86 has no F16C.
//
// Include after hwy/foreach_target.h, as Highway's own -inl.h files are.

// The include guard is per target: foreach_target.h includes this file once for each.
#if defined(ANE_MATH_HALF_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ANE_MATH_HALF_INL_H_
#undef ANE_MATH_HALF_INL_H_
#else
#define ANE_MATH_HALF_INL_H_
#endif

#include <array>
#include <cstdint>

#include <hwy/highway.h>

#include "ane/math/half.h"

HWY_BEFORE_NAMESPACE();
namespace ane::math::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

#undef ANE_MATH_NATIVE_HALF
#if (HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2 && !defined(HWY_DISABLE_F16C)) || \
    (HWY_ARCH_ARM_A64 && HWY_TARGET != HWY_EMU128 && HWY_TARGET != HWY_SCALAR)
#define ANE_MATH_NATIVE_HALF 1
#else
#define ANE_MATH_NATIVE_HALF 0
#endif

/// Loads Lanes(d) halves from `from`, which may be unaligned, and converts them to floats.
template <class D>
HWY_INLINE hn::Vec<D> load_half(D d, const Half* HWY_RESTRICT from) {
  const hn::Rebind<std::uint16_t, D> d16;
#if ANE_MATH_NATIVE_HALF
  return hn::PromoteTo(d, hn::BitCast(hn::Rebind<hwy::float16_t, D>(), hn::LoadU(d16, from)));
#else
  const hn::RebindToUnsigned<D> du;
  const hn::RebindToSigned<D> di;
  const auto bits = hn::PromoteTo(du, hn::LoadU(d16, from));
  const auto sign = hn::ShiftLeft<16>(hn::And(bits, hn::Set(du, 0x8000U)));
  const auto magnitude = hn::And(bits, hn::Set(du, 0x7FFFU));
  const auto shifted = hn::ShiftLeft<13>(magnitude);
  const auto rebias = hn::Set(du, (127U - 15U) << 23U);
  const auto normal = hn::Add(shifted, rebias);
  const auto subnormal = hn::BitCast(du, hn::Mul(hn::ConvertTo(d, hn::BitCast(di, magnitude)), hn::Set(d, 0x1p-24F)));
  const auto quiet = hn::IfThenElseZero(hn::Gt(hn::BitCast(di, magnitude), hn::Set(di, 0x7C00)),
                                        hn::BitCast(di, hn::Set(du, 0x400000U)));
  const auto special = hn::Or(hn::Add(normal, rebias), hn::BitCast(du, quiet));
  const auto is_special = hn::Gt(hn::BitCast(di, magnitude), hn::Set(di, 0x7BFF));
  const auto is_subnormal = hn::Lt(hn::BitCast(di, magnitude), hn::Set(di, 0x0400));
  const auto finite = hn::IfThenElse(is_subnormal, hn::BitCast(di, subnormal), hn::BitCast(di, normal));
  return hn::BitCast(d, hn::Or(sign, hn::BitCast(du, hn::IfThenElse(is_special, hn::BitCast(di, special), finite))));
#endif
}

/// Rounds to nearest even and writes Lanes(d) halves at `to`, which may be unaligned.
template <class D>
HWY_INLINE void store_half(hn::Vec<D> value, [[maybe_unused]] D d, Half* HWY_RESTRICT to) {
  const hn::Rebind<std::uint16_t, D> d16;
#if ANE_MATH_NATIVE_HALF
  hn::StoreU(hn::BitCast(d16, hn::DemoteTo(hn::Rebind<hwy::float16_t, D>(), value)), d16, to);
#else
  const hn::RebindToUnsigned<D> du;
  const hn::RebindToSigned<D> di;
  const auto bits = hn::BitCast(du, value);
  const auto sign = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 0x8000U));
  const auto magnitude = hn::And(bits, hn::Set(du, 0x7FFFFFFFU));
  const auto ordered = hn::BitCast(di, magnitude);
  const auto even = hn::And(hn::ShiftRight<13>(magnitude), hn::Set(du, 1U));
  const auto rebias_and_round = hn::Set(du, 0xFFFU - ((127U - 15U) << 23U));
  const auto normal = hn::ShiftRight<13>(hn::Add(magnitude, hn::Add(even, rebias_and_round)));
  const auto one_half = hn::Set(d, 0.5F);
  const auto subnormal =
      hn::Sub(hn::BitCast(du, hn::Add(hn::BitCast(d, magnitude), one_half)), hn::BitCast(du, one_half));
  const auto nan = hn::Or(hn::And(hn::ShiftRight<13>(magnitude), hn::Set(du, 0x3FFU)), hn::Set(du, 0x7E00U));
  auto half =
      hn::IfThenElse(hn::Lt(ordered, hn::Set(di, 0x38800000)), hn::BitCast(di, subnormal), hn::BitCast(di, normal));
  half = hn::IfThenElse(hn::Gt(ordered, hn::Set(di, 0x477FFFFF)), hn::Set(di, 0x7C00), half);
  half = hn::IfThenElse(hn::Gt(ordered, hn::Set(di, 0x7F800000)), hn::BitCast(di, nan), half);
  const auto result = hn::Or(sign, hn::BitCast(du, half));
  // DemoteTo saturates, so go through signed 16 bits: the sign is extended over the upper half first.
  const auto widened = hn::ShiftRight<16>(hn::BitCast(di, hn::ShiftLeft<16>(result)));
  hn::StoreU(hn::BitCast(d16, hn::DemoteTo(hn::Rebind<std::int16_t, D>(), widened)), d16, to);
#endif
}

/// Rounds to the nearest fp16 value.
template <class D>
HWY_INLINE hn::Vec<D> round_to_half(D d, hn::Vec<D> value) {
#if ANE_MATH_NATIVE_HALF
  return hn::PromoteTo(d, hn::DemoteTo(hn::Rebind<hwy::float16_t, D>(), value));
#else
  HWY_ALIGN std::array<Half, hn::MaxLanes(d)> halves;
  store_half(value, d, halves.data());
  return load_half(d, halves.data());
#endif
}

}  // namespace ane::math::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
