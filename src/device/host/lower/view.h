#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

/// Strided views: they express reshape, transpose, slice, split, broadcasting and the patches of a convolution without
/// moving elements. Pure functions, independent of MIL and memory.
namespace ane::device::host {

using Dims = std::vector<std::int64_t>;
using BufferId = std::uint32_t;
using TensorId = std::uint32_t;

/// Element (i, j, ..) of the view lies at offset + i * strides[0] + j * strides[1] + .. elements from the start of
/// `buffer`. A stride of 0 repeats an element; strides may be negative or overlap.
struct View {
  BufferId buffer = 0;
  TensorId tensor = 0;  ///< owner of the elements; several tensors may share a buffer
  std::int64_t offset = 0;
  Dims shape;
  Dims strides;

  [[nodiscard]] std::size_t rank() const noexcept { return shape.size(); }
};

[[nodiscard]] std::int64_t element_count(std::span<const std::int64_t> shape) noexcept;

/// Strides of a packed row-major tensor.
[[nodiscard]] Dims dense_strides(std::span<const std::int64_t> shape);
/// Strides of a packed tensor of `shape` whose dimensions are in memory in `order`, outermost first.
[[nodiscard]] Dims dense_strides(std::span<const std::int64_t> shape, std::span<const std::size_t> order);
/// The dimensions by descending stride; repeated ones (stride 0) keep their position.
[[nodiscard]] std::vector<std::size_t> memory_order(const View& view);

[[nodiscard]] View permuted(const View& view, std::span<const std::int64_t> perm);
/// The view whose `permuted` is `view`.
[[nodiscard]] View unpermuted(const View& view, std::span<const std::int64_t> perm);
[[nodiscard]] View sliced(const View& view, std::span<const std::int64_t> begin, std::span<const std::int64_t> step,
                          std::span<const std::int64_t> size);
/// `size` elements of `axis` from `begin`, `step` apart.
[[nodiscard]] View sliced(const View& view, std::size_t axis, std::int64_t begin, std::int64_t size,
                          std::int64_t step = 1);
/// numpy's rule: aligned right, 1 stretches. The view must be broadcastable to `shape`.
[[nodiscard]] View broadcast(const View& view, std::span<const std::int64_t> shape);
/// The elements in the same row-major order with another shape of equal count; nullopt if that needs a copy.
[[nodiscard]] std::optional<View> reshaped(const View& view, std::span<const std::int64_t> shape);
/// With a dimension of 1 inserted at `axis`.
[[nodiscard]] View expanded(const View& view, std::size_t axis);
/// Without dimension `axis`, which is 1.
[[nodiscard]] View squeezed(const View& view, std::size_t axis);
/// Without any dimension of 1.
[[nodiscard]] View squeezed(const View& view);

/// Whether both refer to the same elements of memory in the same order, ignoring dimensions of 1.
[[nodiscard]] bool same_elements(const View& a, const View& b);
[[nodiscard]] bool is_dense(const View& view);
/// Whether no dimension repeats elements.
[[nodiscard]] bool is_full(const View& view);

}  // namespace ane::device::host
