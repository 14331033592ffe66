// Iterates over an array one vector at a time.

// The include guard is per target: foreach_target.h includes this file once for each.
#if defined(ANE_MATH_LOOP_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ANE_MATH_LOOP_INL_H_
#undef ANE_MATH_LOOP_INL_H_
#else
#define ANE_MATH_LOOP_INL_H_
#endif

#include <cstddef>

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace ane::math::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// Calls body(d, i) with whole vectors of floats (d) from `begin` on, then with single lanes up to `end`. Both run the
/// same operations, so a value does not depend on how the range was split.
template <class Body>
HWY_INLINE void for_each_vector(std::size_t begin, std::size_t end, const Body& body) {
  const hn::ScalableTag<float> whole;
  const hn::CappedTag<float, 1> single;
  const std::size_t lanes = hn::Lanes(whole);
  std::size_t i = begin;
  for (; i + lanes <= end; i += lanes) body(whole, i);
  for (; i < end; ++i) body(single, i);
}

}  // namespace ane::math::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
