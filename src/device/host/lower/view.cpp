#include "lower/view.h"

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <numeric>

namespace ane::device::host {

std::int64_t element_count(std::span<const std::int64_t> shape) noexcept {
  return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

Dims dense_strides(std::span<const std::int64_t> shape) {
  Dims strides(shape.size());
  std::int64_t stride = 1;
  for (std::size_t i = shape.size(); i-- > 0;) {
    strides[i] = stride;
    stride *= shape[i];
  }
  return strides;
}

Dims dense_strides(std::span<const std::int64_t> shape, std::span<const std::size_t> order) {
  Dims strides(shape.size());
  std::int64_t stride = 1;
  for (std::size_t i = order.size(); i-- > 0;) {
    strides[order[i]] = stride;
    stride *= shape[order[i]];
  }
  return strides;
}

std::vector<std::size_t> memory_order(const View& view) {
  // Insertion sort by stride, so that dimensions without a meaningful stride (1, or repeated) stay behind their left
  // neighbor.
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < view.rank(); ++i) {
    auto place = order.end();
    if (view.shape[i] != 1 && view.strides[i] != 0) {
      place = std::find_if(order.begin(), order.end(), [&](std::size_t other) {
        return view.shape[other] != 1 && view.strides[other] != 0 &&
               std::abs(view.strides[other]) < std::abs(view.strides[i]);
      });
    }
    order.insert(place, i);
  }
  return order;
}

View permuted(const View& view, std::span<const std::int64_t> perm) {
  View result = view;
  for (std::size_t i = 0; i < perm.size(); ++i) {
    result.shape[i] = view.shape[static_cast<std::size_t>(perm[i])];
    result.strides[i] = view.strides[static_cast<std::size_t>(perm[i])];
  }
  return result;
}

View unpermuted(const View& view, std::span<const std::int64_t> perm) {
  View result = view;
  for (std::size_t i = 0; i < perm.size(); ++i) {
    result.shape[static_cast<std::size_t>(perm[i])] = view.shape[i];
    result.strides[static_cast<std::size_t>(perm[i])] = view.strides[i];
  }
  return result;
}

View sliced(const View& view, std::span<const std::int64_t> begin, std::span<const std::int64_t> step,
            std::span<const std::int64_t> size) {
  View result = view;
  for (std::size_t i = 0; i < view.rank(); ++i) {
    result.offset += begin[i] * view.strides[i];
    result.strides[i] = view.strides[i] * step[i];
    result.shape[i] = size[i];
  }
  return result;
}

View sliced(const View& view, std::size_t axis, std::int64_t begin, std::int64_t size, std::int64_t step) {
  View result = view;
  result.offset += begin * view.strides[axis];
  result.strides[axis] = view.strides[axis] * step;
  result.shape[axis] = size;
  return result;
}

View broadcast(const View& view, std::span<const std::int64_t> shape) {
  assert(view.rank() <= shape.size());
  const std::size_t added = shape.size() - view.rank();
  View result = view;
  result.shape.assign(shape.begin(), shape.end());
  result.strides.assign(shape.size(), 0);
  for (std::size_t i = 0; i < view.rank(); ++i) {
    assert(view.shape[i] == 1 || view.shape[i] == shape[added + i]);
    if (view.shape[i] != 1) result.strides[added + i] = view.strides[i];
  }
  return result;
}

std::optional<View> reshaped(const View& view, std::span<const std::int64_t> shape) {
  assert(element_count(view.shape) == element_count(shape));
  const View old = squeezed(view);
  View result = view;
  result.shape.assign(shape.begin(), shape.end());
  result.strides.assign(shape.size(), 0);
  std::size_t to = 0;
  for (std::size_t from = 0; from < old.rank();) {
    // The shortest runs of old and new dimensions with equal element counts.
    const std::size_t from_begin = from;
    const std::size_t to_begin = to;
    std::int64_t from_count = old.shape[from++];
    std::int64_t to_count = shape[to++];
    while (from_count != to_count) {
      if (from_count < to_count) {
        from_count *= old.shape[from++];
      } else {
        to_count *= shape[to++];
      }
    }
    for (std::size_t i = from_begin; i + 1 < from; ++i) {
      if (old.strides[i] != old.strides[i + 1] * old.shape[i + 1]) return std::nullopt;
    }
    std::int64_t stride = old.strides[from - 1];
    for (std::size_t i = to; i-- > to_begin;) {
      result.strides[i] = stride;
      stride *= shape[i];
    }
  }
  return result;
}

View expanded(const View& view, std::size_t axis) {
  View result = view;
  const auto at = static_cast<std::ptrdiff_t>(axis);
  result.shape.insert(result.shape.begin() + at, 1);
  result.strides.insert(result.strides.begin() + at, 0);
  return result;
}

View squeezed(const View& view, std::size_t axis) {
  assert(view.shape[axis] == 1);
  View result = view;
  const auto at = static_cast<std::ptrdiff_t>(axis);
  result.shape.erase(result.shape.begin() + at);
  result.strides.erase(result.strides.begin() + at);
  return result;
}

View squeezed(const View& view) {
  View result = view;
  result.shape.clear();
  result.strides.clear();
  for (std::size_t i = 0; i < view.rank(); ++i) {
    if (view.shape[i] == 1) continue;
    result.shape.push_back(view.shape[i]);
    result.strides.push_back(view.strides[i]);
  }
  return result;
}

bool same_elements(const View& a, const View& b) {
  if (a.buffer != b.buffer || a.offset != b.offset) return false;
  const View left = squeezed(a);
  const View right = squeezed(b);
  return left.shape == right.shape && left.strides == right.strides;
}

bool is_dense(const View& view) {
  const View packed = squeezed(view);
  return packed.strides == dense_strides(packed.shape);
}

bool is_full(const View& view) {
  for (std::size_t i = 0; i < view.rank(); ++i) {
    if (view.shape[i] != 1 && view.strides[i] == 0) return false;
  }
  return true;
}

}  // namespace ane::device::host
