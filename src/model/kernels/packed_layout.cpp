#include "ane/model/packed_layout.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <mutex>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "ane/core/checked.h"
#include "ane/core/error.h"
#include "ane/math/half.h"

#include "shape.h"

namespace ane::model {

namespace {

// Minimum number of elements per thread: some microseconds of work.
constexpr std::size_t kElementGrain = 16384;
constexpr std::size_t kWidthMultiple = 32;  // 64 bytes of fp16

std::size_t channel_grain(const Segment& segment) { return std::max<std::size_t>(1, kElementGrain / segment.columns); }

template <class T, class Byte>
auto elements(std::span<Byte> bytes) {
  using Element = std::conditional_t<std::is_const_v<Byte>, const T, T>;
  return std::span<Element>(reinterpret_cast<Element*>(bytes.data()), bytes.size() / sizeof(T));
}

/// The larger of two magnitudes, NaN being the largest.
float larger(float a, float b) noexcept { return std::isnan(a) || a >= b ? a : b; }

template <class Byte>
std::span<Byte> row_of(PackedView<Byte> view, const Segment& segment, std::size_t row) {
  const std::size_t element_bytes = mil::element_bytes(view.layout.element());
  return view.bytes.subspan(
      segment.begin * view.layout.surface().row_bytes + (segment.first_column + row * segment.stride) * element_bytes,
      segment.columns * element_bytes);
}

/// Whether the channels of a segment are contiguous.
bool is_one_run(const Segment& segment) { return segment.columns == segment.stride; }

/// The channels of `range`, counted from the segment's first: one run if they are contiguous, otherwise one by one.
/// Calls body(bytes of the run, index of its first element in the segment); returns the largest result.
template <class Byte, class Body>
float largest_of_runs(PackedView<Byte> view, const Segment& segment, math::Range range, const Body& body) {
  if (is_one_run(segment)) {
    Byte* const first = row_of(view, segment, range.begin).data();
    const std::size_t elements_of_run = range.size() * segment.columns;
    return body(std::span<Byte>(first, elements_of_run * mil::element_bytes(view.layout.element())),
                range.begin * segment.columns);
  }
  float largest = 0;
  for (std::size_t row = range.begin; row < range.end; ++row)
    largest = larger(largest, body(row_of(view, segment, row), row * segment.columns));
  return largest;
}

/// All channels of the segment.
template <class Byte, class Body>
float largest_of_runs(PackedView<Byte> view, const Segment& segment, math::ThreadPool& threads, const Body& body) {
  assert(view.bytes.size() >= view.layout.surface().size_bytes);
  float largest = 0;
  std::mutex mutex;
  threads.parallel_for(segment.channels, channel_grain(segment), [&](math::Range range) {
    const float magnitude = largest_of_runs(view, segment, range, body);
    const std::lock_guard lock(mutex);
    largest = larger(largest, magnitude);
  });
  return largest;
}

/// Calls body(the bytes as elements, ...) for the layout's element type.
template <class Byte, class Body>
float as_elements(mil::DType element, std::span<Byte> run, const Body& body) {
  return element == mil::DType::fp16 ? body(elements<math::Half>(run)) : body(elements<float>(run));
}

}  // namespace

PackedLayout::PackedLayout(mil::DType element, std::size_t seq_len,
                           std::span<const std::pair<std::string_view, std::size_t>> segments) {
  std::size_t channels = 0;
  for (const auto& [name, count] : segments) {
    add({.name = std::string(name), .channels = count, .columns = seq_len, .begin = channels, .rows = count});
    channels += count;
  }
  set_type(element, channels, seq_len);
}

PackedLayout PackedLayout::along_columns(mil::DType element, std::span<const Window> windows) {
  PackedLayout layout;
  std::size_t channels = 0;
  std::size_t width = 0;
  for (const Window& window : windows) {
    layout.add({.name = window.name,
                .channels = window.channels,
                .columns = window.columns,
                .rows = window.channels,
                .first_column = width});
    channels = std::max(channels, window.channels);
    width += window.columns;
  }
  layout.set_type(element, channels, round_up(width, kWidthMultiple));
  return layout;
}

PackedLayout PackedLayout::along_channels(mil::DType element, std::span<const Window> windows,
                                          std::span<const Window> blocks) {
  PackedLayout layout;
  std::size_t width = 1;
  for (const Window& window : windows) width = std::max(width, window.columns);
  width = round_up(width, kWidthMultiple);
  std::size_t channels = 0;
  const auto add_below = [&](const Window& part, std::size_t rows, std::size_t stride) {
    layout.add({.name = part.name,
                .channels = part.channels,
                .columns = part.columns,
                .begin = channels,
                .rows = rows,
                .stride = stride});
    channels += rows;
  };
  for (const Window& window : windows) add_below(window, window.channels, width);
  for (const Window& block : blocks) {
    const std::size_t channels_of_whole_rows = width / std::gcd(width, block.columns);
    add_below(block, round_up(block.channels, channels_of_whole_rows) * block.columns / width, block.columns);
  }
  layout.set_type(element, channels, width);
  return layout;
}

bool PackedLayout::is_block(const Segment& segment) const noexcept {
  return segment.stride != surface_.row_bytes / mil::element_bytes(element());
}

void PackedLayout::add(Segment segment) {
  if (segment.channels == 0 || segment.columns == 0)
    throw Error(fmt::format("segment '{}' has no {}", segment.name, segment.channels == 0 ? "channels" : "columns"));
  const auto same = [&](const Segment& other) { return other.name == segment.name; };
  if (std::any_of(segments_.begin(), segments_.end(), same))
    throw Error(fmt::format("two segments are named '{}'", segment.name));
  segments_.push_back(std::move(segment));
}

void PackedLayout::set_type(mil::DType element, std::size_t channels, std::size_t width) {
  type_ = {element, shape_of({1, channels, 1, width})};
  surface_ = mil::surface_layout(type_);
  for (Segment& segment : segments_)
    if (segment.stride == 0) segment.stride = surface_.row_bytes / mil::element_bytes(element);
}

const Segment& PackedLayout::at(std::string_view name) const {
  const auto found =
      std::find_if(segments_.begin(), segments_.end(), [&](const Segment& segment) { return segment.name == name; });
  if (found != segments_.end()) return *found;
  std::string names;
  for (const Segment& segment : segments_) names += (names.empty() ? "" : ", ") + segment.name;
  throw Error(fmt::format("unknown segment '{}'; available: {}", name, names));
}

namespace {

/// Writes rows of a segment; for largest_of_runs.
auto writer(const PackedLayout& layout, std::span<const float> values) {
  return [&layout, values](std::span<std::byte> run, std::size_t first) {
    return as_elements(layout.element(), run,
                       [&](auto target) { return math::transfer(values.subspan(first, target.size()), target); });
  };
}

}  // namespace

float write_segment(PackedView<std::byte> to, std::string_view name, std::span<const float> values,
                    math::ThreadPool& threads) {
  const Segment& segment = to.layout.at(name);
  assert(values.size() == segment.channels * segment.columns);
  return largest_of_runs(to, segment, threads, writer(to.layout, values));
}

float write_segment(PackedView<std::byte> to, std::string_view name, std::span<const float> values) {
  const Segment& segment = to.layout.at(name);
  assert(values.size() == segment.channels * segment.columns && to.bytes.size() >= to.layout.surface().size_bytes);
  return largest_of_runs(to, segment, {0, segment.channels}, writer(to.layout, values));
}

void write_transposed(PackedView<std::byte> to, std::string_view name, std::span<const float> values) {
  const Segment& segment = to.layout.at(name);
  assert(values.size() == segment.channels * segment.columns);
  const std::size_t stride = segment.stride;
  const std::size_t first =
      segment.begin * to.layout.surface().row_bytes / mil::element_bytes(to.layout.element()) + segment.first_column;
  if (to.layout.element() == mil::DType::fp16) {
    math::transpose_to_half(values, segment.columns, segment.channels, elements<math::Half>(to.bytes).subspan(first),
                            stride);
    return;
  }
  const auto window = elements<float>(to.bytes).subspan(first);
  for (std::size_t column = 0; column < segment.columns; ++column)
    for (std::size_t channel = 0; channel < segment.channels; ++channel)
      window[channel * stride + column] = values[column * segment.channels + channel];
}

void write_column(PackedView<std::byte> to, std::string_view name, std::size_t column, std::span<const float> values) {
  const Segment& segment = to.layout.at(name);
  assert(values.size() == segment.channels && column < segment.columns);
  for (std::size_t channel = 0; channel < values.size(); ++channel) {
    const std::span<std::byte> row = row_of(to, segment, channel);
    const std::span<const float> value = values.subspan(channel, 1);
    as_elements(to.layout.element(), row,
                [&](auto target) { return math::transfer(value, target.subspan(column, 1)); });
  }
}

float read_segment(PackedView<const std::byte> from, std::string_view name, std::span<float> values,
                   math::ThreadPool& threads) {
  const Segment& segment = from.layout.at(name);
  assert(values.size() == segment.channels * segment.columns);
  return largest_of_runs(from, segment, threads, [&](std::span<const std::byte> run, std::size_t first) {
    return as_elements(from.layout.element(), run,
                       [&](auto source) { return math::transfer(source, values.subspan(first, source.size())); });
  });
}

float read_segment_added(PackedView<const std::byte> from, std::string_view name, std::span<const float> base,
                         std::span<float> sum, math::ThreadPool& threads) {
  const Segment& segment = from.layout.at(name);
  assert(sum.size() == segment.channels * segment.columns && base.size() == sum.size());
  return largest_of_runs(from, segment, threads, [&](std::span<const std::byte> run, std::size_t first) {
    return as_elements(from.layout.element(), run, [&](auto source) {
      return math::transfer_add(source, base.subspan(first, source.size()), sum.subspan(first, source.size()));
    });
  });
}

namespace {

float copy_run(mil::DType element, std::span<const std::byte> from, std::span<std::byte> to) {
  return element == mil::DType::fp16 ? math::transfer(elements<math::Half>(from), elements<math::Half>(to))
                                     : math::transfer(elements<float>(from), elements<float>(to));
}

}  // namespace

float copy_segment(PackedView<const std::byte> from, std::string_view name, PackedView<std::byte> to,
                   math::ThreadPool& threads) {
  const Segment& source = from.layout.at(name);
  const Segment& target = to.layout.at(name);
  assert(source.channels == target.channels && source.columns == target.columns &&
         from.layout.element() == to.layout.element());
  const std::size_t element_bytes = mil::element_bytes(from.layout.element());
  const bool is_whole = is_one_run(source) && is_one_run(target);
  return largest_of_runs(from, source, threads, [&](std::span<const std::byte> run, std::size_t first) {
    float largest = 0;
    const std::size_t rows = is_whole ? 1 : run.size() / (source.columns * element_bytes);
    for (std::size_t row = 0; row < rows; ++row) {
      const std::span<const std::byte> part = run.subspan(row * run.size() / rows, run.size() / rows);
      const std::size_t channel = first / source.columns + row;
      std::byte* const target_row = row_of(to, target, channel).data();
      largest = larger(largest, copy_run(from.layout.element(), part, {target_row, part.size()}));
    }
    return largest;
  });
}

float max_magnitude(PackedView<const std::byte> from, std::string_view name, math::ThreadPool& threads) {
  return largest_of_runs(
      from, from.layout.at(name), threads, [&](std::span<const std::byte> run, std::size_t /*first*/) {
        return as_elements(from.layout.element(), run, [](auto values) { return math::max_magnitude(values); });
      });
}

}  // namespace ane::model
