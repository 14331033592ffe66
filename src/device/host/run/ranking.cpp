#include "run/ranking.h"

#include <algorithm>
#include <numeric>
#include <type_traits>

#include "run/grain.h"

namespace ane::device::host {
namespace {

template <class T>
bool is_less(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    if (b != b) return a == a;
  }
  return a < b;
}

/// Writes the k indices below n that come first by `before` to [first, first + k), sorted. Uses a heap of the best so
/// far, with the worst of them at its front.
template <class Before>
void take_first(std::int32_t* first, std::int64_t k, std::int64_t n, const Before& before) {
  std::int32_t* const last = first + k;
  std::iota(first, last, 0);
  std::make_heap(first, last, before);
  for (auto i = static_cast<std::int32_t>(k); i < n; ++i) {
    if (!before(i, *first)) continue;
    std::pop_heap(first, last, before);
    *(last - 1) = i;
    std::push_heap(first, last, before);
  }
  std::sort_heap(first, last, before);
}

}  // namespace

Ranking::Ranking(const View& x, const View& out, Order order, bool integer)
    : x_(slot(x)),
      out_(slot(out)),
      rows_(element_count(x.shape) / x.shape.back()),
      n_(x.shape.back()),
      k_(out.shape.back()),
      order_(order),
      integer_(integer) {}

void Ranking::run(const RunContext& context) const {
  const auto grain = grain_for(n_);
  context.parallel_for(static_cast<std::size_t>(rows_), grain, [&](math::Range range) {
    integer_ ? run_rows<std::int32_t>(context, range) : run_rows<float>(context, range);
  });
}

template <class T>
void Ranking::run_rows(const RunContext& context, math::Range range) const {
  for (std::size_t r = range.begin; r < range.end; ++r) {
    const T* const row = context.at<T>(x_) + static_cast<std::int64_t>(r) * n_;
    std::int32_t* const out = context.at<std::int32_t>(out_) + static_cast<std::int64_t>(r) * k_;
    const auto by_value = [row](std::int32_t i, std::int32_t j) {
      if (is_less(row[i], row[j])) return true;
      return !is_less(row[j], row[i]) && i < j;
    };
    const auto by_falling_value = [row](std::int32_t i, std::int32_t j) {
      if (is_less(row[j], row[i])) return true;
      return !is_less(row[i], row[j]) && i < j;
    };
    order_ == Order::ascending ? take_first(out, k_, n_, by_value) : take_first(out, k_, n_, by_falling_value);
  }
}

}  // namespace ane::device::host
