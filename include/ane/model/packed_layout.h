#pragma once

#include <cstddef>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ane/math/threads.h"
#include "ane/mil/types.h"

namespace ane::model {

/// A named part of a packed tensor: a window of its rows, or a block whose elements fill whole rows.
struct Segment {
  std::string name;
  std::size_t channels = 0;
  std::size_t columns = 0;
  std::size_t begin = 0;  ///< first row of the tensor, which is one of its channels
  std::size_t rows = 0;   ///< of the tensor
  std::size_t first_column = 0;
  std::size_t stride = 0;  ///< elements from one channel of the segment to the next, in a surface
};

/// Layout of a kernel's only input or output: a tensor [1, C, 1, W] of named segments. MIL slices, host writes and host
/// reads are all derived from it.
class PackedLayout {
 public:
  struct Window {
    std::string name;
    std::size_t channels = 0;
    std::size_t columns = 0;
  };

  PackedLayout() = default;
  /// Segments of S columns, concatenated along channels: C is their sum, W is S. Throws Error if a name is used twice
  /// or a segment is empty.
  PackedLayout(mil::DType element, std::size_t seq_len,
               std::span<const std::pair<std::string_view, std::size_t>> segments);
  PackedLayout(mil::DType element, std::size_t seq_len,
               std::initializer_list<std::pair<std::string_view, std::size_t>> segments)
      : PackedLayout(element, seq_len, std::span(segments.begin(), segments.size())) {}
  /// Segments concatenated along columns, all starting at channel 0: C is the largest number of channels, W the sum of
  /// the columns, padded to a multiple of 32 (ane.md A1). Throws as above.
  [[nodiscard]] static PackedLayout along_columns(mil::DType element, std::span<const Window> windows);
  /// Segments below each other, so that none begins inside a row: W is the largest number of columns of a window,
  /// padded to a multiple of 32. The rows of a window are its channels; the channels of a block follow each other in
  /// rows of W elements, with unused channels behind them until a row is full. Throws as above.
  [[nodiscard]] static PackedLayout along_channels(mil::DType element, std::span<const Window> windows,
                                                   std::span<const Window> blocks);

  /// Throws Error for an unknown name, listing the existing ones.
  [[nodiscard]] const Segment& at(std::string_view name) const;
  [[nodiscard]] std::span<const Segment> segments() const noexcept { return segments_; }
  [[nodiscard]] mil::DType element() const noexcept { return type_.dtype; }
  [[nodiscard]] std::size_t channels() const noexcept { return surface_.rows; }
  [[nodiscard]] std::size_t width() const noexcept { return surface_.row_elements; }
  /// Whether a segment is a block, of which no row is a channel.
  [[nodiscard]] bool is_block(const Segment& segment) const noexcept;
  /// The whole tensor.
  [[nodiscard]] const mil::TensorType& type() const noexcept { return type_; }
  /// Its layout in a surface: channel c begins at byte c * row_bytes.
  [[nodiscard]] const mil::SurfaceLayout& surface() const noexcept { return surface_; }

 private:
  void add(Segment segment);
  void set_type(mil::DType element, std::size_t channels, std::size_t width);

  std::vector<Segment> segments_;
  mil::TensorType type_;
  mil::SurfaceLayout surface_;
};

/// The bytes of a mapped surface and their layout. Does not own the bytes.
template <class Byte>
struct PackedView {
  const PackedLayout& layout;
  std::span<Byte> bytes;
};

// Each of these functions passes over a segment once and returns the largest magnitude it read: NaN if any element is
// NaN.

/// Converts fp32 `values` [channels, columns] into the named segment.
float write_segment(PackedView<std::byte> to, std::string_view name, std::span<const float> values,
                    math::ThreadPool& threads);
/// The same on the calling thread.
float write_segment(PackedView<std::byte> to, std::string_view name, std::span<const float> values);
/// The same with `values` [columns, channels], without computing the magnitude.
void write_transposed(PackedView<std::byte> to, std::string_view name, std::span<const float> values);

/// Converts fp32 `values` [channels] into one column of the named segment.
void write_column(PackedView<std::byte> to, std::string_view name, std::size_t column, std::span<const float> values);

/// Converts the named segment to fp32 [channels, columns].
float read_segment(PackedView<const std::byte> from, std::string_view name, std::span<float> values,
                   math::ThreadPool& threads);

/// sum = base + the named segment: fp32 [channels, columns].
float read_segment_added(PackedView<const std::byte> from, std::string_view name, std::span<const float> base,
                         std::span<float> sum, math::ThreadPool& threads);

/// Copies a segment unchanged to the segment of that name in another surface of equal element type and segment size.
float copy_segment(PackedView<const std::byte> from, std::string_view name, PackedView<std::byte> to,
                   math::ThreadPool& threads);

/// Read-only.
[[nodiscard]] float max_magnitude(PackedView<const std::byte> from, std::string_view name, math::ThreadPool& threads);

}  // namespace ane::model
