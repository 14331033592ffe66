#include "run/vector_ops.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "run/vector_ops.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace ane::device::host::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using F = hn::ScalableTag<float>;
using I = hn::ScalableTag<std::int32_t>;
using VF = hn::Vec<F>;
using VI = hn::Vec<I>;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Rounds to the nearest fp16 value, ties to even: adding and subtracting 1.5 * 2^23 quanta leaves whole quanta.
/// (Highway's DemoteTo truncates if the CPU has no instruction for it.)
HWY_INLINE VF round_to_half(VF x) {
  const F f;
#if HWY_TARGET == HWY_SSE2 || HWY_TARGET == HWY_SSSE3 || HWY_TARGET == HWY_SSE4 || HWY_TARGET == HWY_SCALAR || \
    HWY_TARGET == HWY_EMU128
  const I i;
  const VF power = hn::BitCast(f, hn::And(hn::BitCast(i, x), hn::Set(i, 0x7F800000)));
  const VF smallest_normal = hn::Set(f, 0x1p-14F);
  const VF magic = hn::Mul(hn::Max(power, smallest_normal), hn::Set(f, 0x1.8p13F));
  const VF rounded = hn::CopySign(hn::Sub(hn::Add(x, magic), magic), x);
  const VF overflow = hn::CopySign(hn::Set(f, kInfinity), x);
  return hn::IfThenElse(hn::Ge(hn::Abs(x), hn::Set(f, 65520.0F)), overflow, rounded);
#else
  const hn::Rebind<hwy::float16_t, F> h;
  return hn::PromoteTo(f, hn::DemoteTo(h, x));
#endif
}

// Outside the range of Highway's functions, C's results are used.

HWY_INLINE VF exponential(VF x) {
  const F f;
  // Exp is undefined above 104, but exp(89) is already infinity.
  const VF e = hn::Exp(f, hn::Min(x, hn::Set(f, 89.0F)));
  return hn::IfThenElse(hn::IsNaN(x), x, e);
}

HWY_INLINE VF logarithm(VF x) {
  const F f;
  const VF zero = hn::Zero(f);
  VF result = hn::Log(f, x);
  result = hn::IfThenElse(hn::Eq(x, zero), hn::Set(f, -kInfinity), result);
  result = hn::IfThenElse(hn::Or(hn::Lt(x, zero), hn::IsNaN(x)), hn::Set(f, std::numeric_limits<float>::quiet_NaN()),
                          result);
  return hn::IfThenElse(hn::Eq(x, hn::Set(f, kInfinity)), x, result);
}

HWY_INLINE VF hyperbolic_tangent(VF x) {
  const F f;
  return hn::IfThenElse(hn::IsNaN(x), x, hn::Tanh(f, x));
}

HWY_INLINE VF logistic(VF x) {
  const F f;
  const VF one = hn::Set(f, 1.0F);
  return hn::Div(one, hn::Add(one, exponential(hn::Neg(x))));
}

/// ln(1 + e^x) = max(x, 0) + log1p(e^-|x|)
HWY_INLINE VF soft_plus(VF x) {
  const F f;
  const VF tail = hn::Log1p(f, exponential(hn::Neg(hn::Abs(x))));
  return hn::Add(hn::IfThenElse(hn::Lt(x, hn::Zero(f)), hn::Zero(f), x), tail);
}

// The results of Max and Min for NaN and for two zeros depend on the processor: arm64 returns the number. We use the
// rule of x86, the first operand if it is larger (smaller) and else the second, and NaN if either is NaN.

#if HWY_ARCH_X86 && HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128
HWY_INLINE VF larger_or_second(VF a, VF b) { return hn::Max(a, b); }
HWY_INLINE VF smaller_or_second(VF a, VF b) { return hn::Min(a, b); }
#else
HWY_INLINE VF larger_or_second(VF a, VF b) { return hn::IfThenElse(hn::Gt(a, b), a, b); }
HWY_INLINE VF smaller_or_second(VF a, VF b) { return hn::IfThenElse(hn::Lt(a, b), a, b); }
#endif
HWY_INLINE VF propagating_max(VF a, VF b) { return hn::IfThenElse(hn::IsNaN(a), a, larger_or_second(a, b)); }
HWY_INLINE VF propagating_min(VF a, VF b) { return hn::IfThenElse(hn::IsNaN(a), a, smaller_or_second(a, b)); }

template <class D, class T>
void load_tail(D d, const T* from, std::size_t count, T* padded) {
  std::fill_n(padded, hn::Lanes(d), T{0});
  std::copy_n(from, count, padded);
}

/// to[i] = function(sources[i]..): whole vectors, then a padded one.
template <class D, class R, class Function, class... Sources>
void map(D d, R r, std::size_t count, void* target, Function function, const Sources*... sources) {
  using To = hn::TFromD<R>;
  auto* const to = static_cast<To*>(target);
  const std::size_t lanes = hn::Lanes(d);
  std::size_t i = 0;
  for (; i + 2 * lanes <= count; i += 2 * lanes) {
    const auto first = function(hn::LoadU(d, sources + i)...);
    const auto second = function(hn::LoadU(d, sources + i + lanes)...);
    hn::StoreU(first, r, to + i);
    hn::StoreU(second, r, to + i + lanes);
  }
  for (; i + lanes <= count; i += lanes) hn::StoreU(function(hn::LoadU(d, sources + i)...), r, to + i);
  if (i == count) return;
  const auto padded = [&](const auto* source) HWY_ATTR {
    HWY_ALIGN std::array<hn::TFromD<D>, HWY_MAX_BYTES / sizeof(hn::TFromD<D>)> tail;
    load_tail(d, source + i, count - i, tail.data());
    return hn::Load(d, tail.data());
  };
  HWY_ALIGN std::array<To, HWY_MAX_BYTES / sizeof(To)> result;
  hn::Store(function(padded(sources)...), r, result.data());
  std::copy_n(result.data(), count - i, to + i);
}

// Each operation has its own loop, instantiated from a stateless function of the values and, if necessary, the
// operation.

template <class Function, class... Values>
HWY_INLINE VF value_of([[maybe_unused]] const MicroOp& op, Values... values) {
  // Not std::is_invocable: SVE's vectors have no size at compile time, and GCC treats such types as incomplete there.
  if constexpr (requires { Function()(op, values...); }) {
    return Function()(op, values...);
  } else {
    return Function()(values...);
  }
}

template <class Function, bool kRound>
void unary_loop(const MicroOp& op, const Operands& o) {
  map(
      F(), F(), o.count, o.to,
      [&](VF x) HWY_ATTR {
        const VF value = value_of<Function>(op, x);
        return kRound ? round_to_half(value) : value;
      },
      static_cast<const float*>(o.a));
}

template <class Function, bool kRound>
void binary_loop(const MicroOp& op, const Operands& o) {
  map(
      F(), F(), o.count, o.to,
      [&](VF x, VF y) HWY_ATTR {
        const VF value = value_of<Function>(op, x, y);
        return kRound ? round_to_half(value) : value;
      },
      static_cast<const float*>(o.a), static_cast<const float*>(o.b));
}

template <class Function>
void scalar_loop(const MicroOp& op, const Operands& o) {
  const auto* const a = static_cast<const float*>(o.a);
  const auto* const b = static_cast<const float*>(o.b);
  auto* const to = static_cast<float*>(o.to);
  for (std::size_t i = 0; i < o.count; ++i) to[i] = Function()(a[i], b[i]);
  if (!op.round) return;
  map(
      F(), F(), o.count, to, [](VF x) HWY_ATTR { return round_to_half(x); }, static_cast<const float*>(to));
}

template <class Compare>
void integer_compare_loop(const MicroOp& /*op*/, const Operands& o) {
  const I i;
  map(
      i, i, o.count, o.to, [&](VI x, VI y) HWY_ATTR { return hn::IfThenElseZero(Compare()(x, y), hn::Set(i, 1)); },
      static_cast<const std::int32_t*>(o.a), static_cast<const std::int32_t*>(o.b));
}

template <class Compare>
void float_compare_loop(const MicroOp& /*op*/, const Operands& o) {
  const I i;
  map(
      F(), i, o.count, o.to,
      [&](VF x, VF y) HWY_ATTR { return hn::IfThenElseZero(hn::RebindMask(i, Compare()(x, y)), hn::Set(i, 1)); },
      static_cast<const float*>(o.a), static_cast<const float*>(o.b));
}

/// Exact, in int32 that wraps around.
template <class Function>
void integer_loop(const MicroOp& /*op*/, const Operands& o) {
  const auto* const a = static_cast<const std::int32_t*>(o.a);
  const auto* const b = static_cast<const std::int32_t*>(o.b);
  auto* const to = static_cast<std::int32_t*>(o.to);
  for (std::size_t i = 0; i < o.count; ++i) {
    to[i] = static_cast<std::int32_t>(Function()(std::int64_t{a[i]}, std::int64_t{b[i]}));
  }
}

void select_loop(const MicroOp& /*op*/, const Operands& o) {
  const I i;
  map(
      i, i, o.count, o.to,
      [&](VI cond, VI x, VI y) HWY_ATTR { return hn::IfThenElse(hn::Ne(cond, hn::Zero(i)), x, y); },
      static_cast<const std::int32_t*>(o.a), static_cast<const std::int32_t*>(o.b),
      static_cast<const std::int32_t*>(o.c));
}

template <class Function>
Loop unary(const MicroOp& op, Function /*function*/) {
  return op.round ? &unary_loop<Function, true> : &unary_loop<Function, false>;
}

template <class Function>
Loop binary(const MicroOp& op, Function /*function*/) {
  return op.round ? &binary_loop<Function, true> : &binary_loop<Function, false>;
}

/// For operations without a vector function: uses C's.
template <class Function>
Loop scalar(Function /*function*/) {
  return &scalar_loop<Function>;
}

template <class Compare>
Loop compare(const MicroOp& op, Compare /*compare*/) {
  return op.integer ? &integer_compare_loop<Compare> : &float_compare_loop<Compare>;
}

template <class Function>
Loop integers(Function /*function*/) {
  return &integer_loop<Function>;
}

std::int64_t saturate(std::int64_t value, mil::DType to) {
  switch (to) {
    case mil::DType::int8:
      return std::clamp<std::int64_t>(value, -128, 127);
    case mil::DType::uint8:
      return std::clamp<std::int64_t>(value, 0, 255);
    case mil::DType::int16:
      return std::clamp<std::int64_t>(value, -32768, 32767);
    case mil::DType::uint16:
      return std::clamp<std::int64_t>(value, 0, 65535);
    case mil::DType::boolean:
      return value != 0 ? 1 : 0;
    default:
      return std::clamp<std::int64_t>(value, std::numeric_limits<std::int32_t>::min(),
                                      std::numeric_limits<std::int32_t>::max());
  }
}

std::int32_t truncate(float value, mil::DType to) {
  if (to == mil::DType::boolean) return value != 0 ? 1 : 0;
  if (std::isnan(value)) return 0;
  return static_cast<std::int32_t>(saturate(static_cast<std::int64_t>(std::clamp(value, -4e9F, 4e9F)), to));
}

template <bool kRound>
void float_of_integer_loop(const MicroOp& /*op*/, const Operands& o) {
  map(
      I(), F(), o.count, o.to,
      [](VI x) HWY_ATTR {
        const VF y = hn::ConvertTo(F(), x);
        return kRound ? round_to_half(y) : y;
      },
      static_cast<const std::int32_t*>(o.a));
}

void integer_of_float_loop(const MicroOp& op, const Operands& o) {
  const auto* const from = static_cast<const float*>(o.a);
  auto* const to = static_cast<std::int32_t*>(o.to);
  for (std::size_t i = 0; i < o.count; ++i) to[i] = truncate(from[i], op.to);
}

void integer_of_integer_loop(const MicroOp& op, const Operands& o) {
  const auto* const from = static_cast<const std::int32_t*>(o.a);
  auto* const to = static_cast<std::int32_t*>(o.to);
  for (std::size_t i = 0; i < o.count; ++i) to[i] = static_cast<std::int32_t>(saturate(from[i], op.to));
}

/// As in numpy: the quotient rounded down and the remainder with the sign of `b`; integers divided by 0 give 0.

std::int64_t floor_quotient(std::int64_t a, std::int64_t b) {
  if (b == 0) return 0;
  return a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
}

std::int64_t floor_remainder(std::int64_t a, std::int64_t b) { return b == 0 ? 0 : a - floor_quotient(a, b) * b; }

/// Exact, based on fmod: floor(a / b) would round quotients just below an integer up to it.
float floor_quotient(float a, float b) {
  if (b == 0) return a / b;
  const float rest = std::fmod(a, b);
  const float whole = std::round((a - rest) / b);
  return rest != 0 && (rest < 0) != (b < 0) ? whole - 1 : whole;
}

float floor_remainder(float a, float b) {
  const float rest = std::fmod(a, b);
  if (rest == 0) return std::copysign(rest, b);
  return (rest < 0) != (b < 0) ? rest + b : rest;
}

Loop cast_loop(const MicroOp& op) {
  if (!mil::is_float(op.to)) return op.integer ? &integer_of_integer_loop : &integer_of_float_loop;
  if (op.integer) return op.round ? &float_of_integer_loop<true> : &float_of_integer_loop<false>;
  return unary(op, [](VF x) HWY_ATTR { return x; });
}

Loop loop_of_integers(const MicroOp& op) {
  using mil::OpKind;
  using Wide = std::int64_t;
  switch (op.kind) {
    case OpKind::add:
      return integers([](Wide a, Wide b) { return a + b; });
    case OpKind::sub:
      return integers([](Wide a, Wide b) { return a - b; });
    case OpKind::mul:
      return integers([](Wide a, Wide b) { return a * b; });
    case OpKind::floor_div:
      return integers([](Wide a, Wide b) { return floor_quotient(a, b); });
    case OpKind::mod:
      return integers([](Wide a, Wide b) { return floor_remainder(a, b); });
    case OpKind::logical_and:
      return integers([](Wide a, Wide b) { return a & b; });
    case OpKind::logical_or:
      return integers([](Wide a, Wide b) { return a | b; });
    case OpKind::logical_xor:
      return integers([](Wide a, Wide b) { return a ^ b; });
    case OpKind::abs:
      return integers([](Wide a, Wide) { return std::abs(a); });
    case OpKind::sign:
      return integers([](Wide a, Wide) { return static_cast<Wide>(a > 0) - static_cast<Wide>(a < 0); });
    case OpKind::square:
      return integers([](Wide a, Wide) { return a * a; });
    case OpKind::logical_not:
      return integers([](Wide a, Wide) { return a == 0 ? 1 : 0; });
    default:
      return integers([](Wide a, Wide) { return a; });
  }
}

Loop gelu_loop(const MicroOp& op) {
  if (op.alpha == kGeluTanh) {
    return unary(op, [](VF x) HWY_ATTR {
      const F f;
      const VF cube = hn::Mul(hn::Mul(x, x), x);
      const VF inner = hn::Mul(hn::Set(f, 0.7978845608F), hn::MulAdd(hn::Set(f, 0.044715F), cube, x));
      return hn::Mul(hn::Mul(hn::Set(f, 0.5F), x), hn::Add(hn::Set(f, 1.0F), hyperbolic_tangent(inner)));
    });
  }
  if (op.alpha == kGeluSigmoid) {
    return unary(op, [](VF x) HWY_ATTR { return hn::Mul(x, logistic(hn::Mul(hn::Set(F(), 1.702F), x))); });
  }
  return scalar([](float x, float) { return 0.5F * x * std::erfc(-x * 0.70710678F); });
}

Loop loop_of_floats(const MicroOp& op) {
  using mil::OpKind;
  switch (op.kind) {
    case OpKind::add:
      return binary(op, [](VF a, VF b) HWY_ATTR { return hn::Add(a, b); });
    case OpKind::sub:
      return binary(op, [](VF a, VF b) HWY_ATTR { return hn::Sub(a, b); });
    case OpKind::mul:
      return binary(op, [](VF a, VF b) HWY_ATTR { return hn::Mul(a, b); });
    case OpKind::real_div:
      return binary(op, [](VF a, VF b) HWY_ATTR { return hn::Div(a, b); });
    case OpKind::maximum:
      return binary(op, [](VF a, VF b) HWY_ATTR { return propagating_max(a, b); });
    case OpKind::minimum:
      return binary(op, [](VF a, VF b) HWY_ATTR { return propagating_min(a, b); });
    case OpKind::pow:
      return scalar([](float x, float exponent) { return std::pow(x, exponent); });
    case OpKind::floor_div:
      return scalar([](float x, float y) { return floor_quotient(x, y); });
    case OpKind::mod:
      return scalar([](float x, float y) { return floor_remainder(x, y); });
    case OpKind::abs:
      return unary(op, [](VF x) HWY_ATTR { return hn::Abs(x); });
    case OpKind::sign:
      return unary(op, [](VF x) HWY_ATTR {
        const F f;
        const VF magnitude = hn::IfThenZeroElse(hn::Eq(x, hn::Zero(f)), hn::Set(f, 1.0F));
        return hn::IfThenElse(hn::IsNaN(x), x, hn::CopySign(magnitude, x));
      });
    // If the processor has no instruction for it, Highway converts to an integer, and zero may lose its sign.
    case OpKind::floor:
      return unary(op, [](VF x) HWY_ATTR { return hn::CopySign(hn::Floor(x), x); });
    case OpKind::ceil:
      return unary(op, [](VF x) HWY_ATTR { return hn::CopySign(hn::Ceil(x), x); });
    case OpKind::round:
      return unary(op, [](VF x) HWY_ATTR { return hn::CopySign(hn::Round(x), x); });
    case OpKind::exp:
      return unary(op, [](VF x) HWY_ATTR { return exponential(x); });
    case OpKind::log:
      return unary(op,
                   [](const MicroOp& log, VF x) HWY_ATTR { return logarithm(hn::Add(x, hn::Set(F(), log.alpha))); });
    case OpKind::sqrt:
      return unary(op, [](VF x) HWY_ATTR { return hn::Sqrt(x); });
    case OpKind::rsqrt:
      return unary(op, [](const MicroOp& rsqrt, VF x) HWY_ATTR {
        const F f;
        return hn::Div(hn::Set(f, 1.0F), hn::Sqrt(hn::Add(x, hn::Set(f, rsqrt.alpha))));
      });
    case OpKind::inverse:
      return unary(op, [](const MicroOp& inverse, VF x) HWY_ATTR {
        const F f;
        return hn::Div(hn::Set(f, 1.0F), hn::Add(x, hn::Set(f, inverse.alpha)));
      });
    case OpKind::square:
      return unary(op, [](VF x) HWY_ATTR { return hn::Mul(x, x); });
    case OpKind::sin:
      return scalar([](float x, float) { return std::sin(x); });
    case OpKind::cos:
      return scalar([](float x, float) { return std::cos(x); });
    case OpKind::tanh:
      return unary(op, [](VF x) HWY_ATTR { return hyperbolic_tangent(x); });
    case OpKind::erf:
      return scalar([](float x, float) { return std::erf(x); });
    case OpKind::sigmoid:
      return unary(op, [](VF x) HWY_ATTR { return logistic(x); });
    case OpKind::relu:
      return unary(op, [](VF x) HWY_ATTR { return hn::IfThenZeroElse(hn::Lt(x, hn::Zero(F())), x); });
    case OpKind::leaky_relu:
      return unary(op, [](const MicroOp& leaky, VF x) HWY_ATTR {
        const F f;
        return hn::IfThenElse(hn::Lt(x, hn::Zero(f)), hn::Mul(hn::Set(f, leaky.alpha), x), x);
      });
    case OpKind::silu:
      return unary(op, [](VF x) HWY_ATTR { return hn::Mul(x, logistic(x)); });
    case OpKind::gelu:
      return gelu_loop(op);
    case OpKind::softplus:
      return unary(op, [](VF x) HWY_ATTR { return soft_plus(x); });
    case OpKind::clip:
      return unary(op, [](const MicroOp& clip, VF x) HWY_ATTR {
        const VF least = hn::Set(F(), clip.alpha);
        const VF most = hn::Set(F(), clip.beta);
        return hn::IfThenElse(hn::Lt(x, least), least, hn::IfThenElse(hn::Gt(x, most), most, x));
      });
    default:
      return unary(op, [](VF x) HWY_ATTR { return x; });
  }
}

Loop loop_of(const MicroOp& op) {
  using mil::OpKind;
  switch (op.kind) {
    case OpKind::greater:
      return compare(op, [](auto x, auto y) HWY_ATTR { return hn::Gt(x, y); });
    case OpKind::greater_equal:
      // not the negation of Lt: comparisons with NaN are false
      return compare(op, [](auto x, auto y) HWY_ATTR { return hn::Or(hn::Gt(x, y), hn::Eq(x, y)); });
    case OpKind::less:
      return compare(op, [](auto x, auto y) HWY_ATTR { return hn::Lt(x, y); });
    case OpKind::less_equal:
      return compare(op, [](auto x, auto y) HWY_ATTR { return hn::Or(hn::Lt(x, y), hn::Eq(x, y)); });
    case OpKind::equal:
      return compare(op, [](auto x, auto y) HWY_ATTR { return hn::Eq(x, y); });
    case OpKind::not_equal:
      // not Ne, which is false for NaN on some instruction sets
      return compare(op, [](auto x, auto y) HWY_ATTR { return hn::Not(hn::Eq(x, y)); });
    case OpKind::select:
      return &select_loop;
    case OpKind::cast:
      return cast_loop(op);
    default:
      return op.integer ? loop_of_integers(op) : loop_of_floats(op);
  }
}

/// Reduces a row to one number: four vectors at a time, then one, then single elements, then the lanes.
template <class Fold>
HWY_INLINE float folded(const float* row, std::size_t count) {
  const F f;
  const std::size_t lanes = hn::Lanes(f);
  VF s0 = hn::Set(f, Fold::kStart);
  VF s1 = s0;
  VF s2 = s0;
  VF s3 = s0;
  std::size_t i = 0;
  for (; i + 4 * lanes <= count; i += 4 * lanes) {
    s0 = Fold::take(s0, hn::LoadU(f, row + i));
    s1 = Fold::take(s1, hn::LoadU(f, row + i + lanes));
    s2 = Fold::take(s2, hn::LoadU(f, row + i + 2 * lanes));
    s3 = Fold::take(s3, hn::LoadU(f, row + i + 3 * lanes));
  }
  for (; i + lanes <= count; i += lanes) s0 = Fold::take(s0, hn::LoadU(f, row + i));
  if (i < count) {
    HWY_ALIGN std::array<float, HWY_MAX_BYTES / sizeof(float)> tail;
    std::fill_n(tail.data(), lanes, Fold::kPadding);
    std::copy_n(row + i, count - i, tail.data());
    s1 = Fold::take(s1, hn::Load(f, tail.data()));
  }
  return Fold::finish(Fold::join(Fold::join(s0, s1), Fold::join(s2, s3)));
}

struct SumFold {
  static constexpr float kStart = 0;
  static constexpr float kPadding = 0;
  static HWY_INLINE VF take(VF sum, VF x) { return hn::Add(sum, x); }
  static HWY_INLINE VF join(VF a, VF b) { return hn::Add(a, b); }
  static HWY_INLINE float finish(VF x) { return hn::GetLane(hn::SumOfLanes(F(), x)); }
};

struct SumSquareFold : SumFold {
  static HWY_INLINE VF take(VF sum, VF x) { return hn::MulAdd(x, x, sum); }
};

struct MaxFold {
  static constexpr float kStart = -kInfinity;
  static constexpr float kPadding = -kInfinity;
  static HWY_INLINE VF take(VF most, VF x) { return propagating_max(most, x); }
  static HWY_INLINE VF join(VF a, VF b) { return propagating_max(a, b); }
  static HWY_INLINE float finish(VF x) {
    const F f;
    if (!hn::AllFalse(f, hn::IsNaN(x))) return std::numeric_limits<float>::quiet_NaN();
    return hn::GetLane(hn::MaxOfLanes(f, x));
  }
};

struct MinFold {
  static constexpr float kStart = kInfinity;
  static constexpr float kPadding = kInfinity;
  static HWY_INLINE VF take(VF least, VF x) { return propagating_min(least, x); }
  static HWY_INLINE VF join(VF a, VF b) { return propagating_min(a, b); }
  static HWY_INLINE float finish(VF x) {
    const F f;
    if (!hn::AllFalse(f, hn::IsNaN(x))) return std::numeric_limits<float>::quiet_NaN();
    return hn::GetLane(hn::MinOfLanes(f, x));
  }
};

float fold_row(const RowFold& fold, const float* row, std::size_t count) {
  float value = 0;
  switch (fold.kind) {
    case mil::OpKind::reduce_max:
      value = folded<MaxFold>(row, count);
      break;
    case mil::OpKind::reduce_min:
      value = folded<MinFold>(row, count);
      break;
    case mil::OpKind::reduce_sum_square:
      value = folded<SumSquareFold>(row, count);
      break;
    default:
      value = folded<SumFold>(row, count);
  }
  value *= fold.scale;
  return fold.round ? hn::GetLane(round_to_half(hn::Set(F(), value))) : value;
}

void repeat(const void* value, void* to, std::size_t count) {
  const I i;
  const std::size_t lanes = hn::Lanes(i);
  auto* const elements = static_cast<std::int32_t*>(to);
  const std::int32_t repeated = *static_cast<const std::int32_t*>(value);
  std::size_t at = 0;
  for (; at + lanes <= count; at += lanes) hn::StoreU(hn::Set(i, repeated), i, elements + at);
  for (; at < count; ++at) elements[at] = repeated;
}

void scale_row(float factor, const float* row, std::int64_t stride, float* to, std::size_t count) {
  const F f;
  if (stride == 1) {
    map(
        f, f, count, to, [&](VF x) HWY_ATTR { return hn::Mul(hn::Set(f, factor), x); }, row);
  } else {
    for (std::size_t i = 0; i < count; ++i) to[i] = factor * row[static_cast<std::int64_t>(i) * stride];
  }
}

/// Length of the prefix of a row, rounded up to vectors, with elements that matter beside the maximum `most`: trailing
/// elements so far below it that their exponential is 0 in fp32, as behind a causal mask, need not be computed.
std::size_t count_that_matters(const float* row, std::size_t count, float most) {
  constexpr float kVanishes = -104.0F;  // less than ln of the smallest subnormal
  const F f;
  const std::size_t lanes = hn::Lanes(f);
  const VF shift = hn::Set(f, most);
  const VF least = hn::Set(f, kVanishes);
  const auto vanish = [&](const float* values)
                          HWY_ATTR { return hn::AllTrue(f, hn::Lt(hn::Sub(hn::LoadU(f, values), shift), least)); };
  while (count >= lanes && vanish(row + count - lanes)) count -= lanes;
  return count;
}

void softmax(const float* row, float* to, std::size_t count, bool round) {
  const F f;
  const float most = folded<MaxFold>(row, count);
  if (!std::isfinite(most)) {
    std::fill_n(to, count, std::numeric_limits<float>::quiet_NaN());
    return;
  }
  const std::size_t used = count_that_matters(row, count, most);
  const VF shift = hn::Set(f, most);
  map(
      f, f, used, to, [&](VF x) HWY_ATTR { return hn::Exp(f, hn::Sub(x, shift)); }, row);
  const VF factor = hn::Set(f, 1.0F / folded<SumFold>(to, used));
  const float* const weights = to;
  if (round) {
    map(
        f, f, used, to, [&](VF x) HWY_ATTR { return round_to_half(hn::Mul(x, factor)); }, weights);
  } else {
    map(
        f, f, used, to, [&](VF x) HWY_ATTR { return hn::Mul(x, factor); }, weights);
  }
  std::fill(to + used, to + count, 0.0F);
}

const char* target_name() { return hwy::TargetName(HWY_TARGET); }

}  // namespace ane::device::host::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ane::device::host {

HWY_EXPORT(loop_of);
HWY_EXPORT(repeat);
HWY_EXPORT(scale_row);
HWY_EXPORT(fold_row);
HWY_EXPORT(softmax);
HWY_EXPORT(target_name);

Loop loop_of(const MicroOp& op) { return HWY_DYNAMIC_DISPATCH(loop_of)(op); }

void repeat(const void* value, void* to, std::size_t count) { HWY_DYNAMIC_DISPATCH(repeat)(value, to, count); }

void scale_row(float factor, const float* row, std::int64_t stride, float* to, std::size_t count) {
  HWY_DYNAMIC_DISPATCH(scale_row)(factor, row, stride, to, count);
}

float fold_row(const RowFold& fold, const float* row, std::size_t count) {
  return HWY_DYNAMIC_DISPATCH(fold_row)(fold, row, count);
}

void row_softmax(const float* row, float* to, std::size_t count, bool round) {
  HWY_DYNAMIC_DISPATCH(softmax)(row, to, count, round);
}

const char* vector_target() { return HWY_DYNAMIC_DISPATCH(target_name)(); }

}  // namespace ane::device::host
#endif
