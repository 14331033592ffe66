#include "ane/model/packed_layout.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <mutex>

#include <fmt/format.h>

#include "ane/core/error.h"
#include "ane/math/half.h"

#include "shape.h"

namespace ane::model {

namespace {

// A thread is worth waking for some microseconds of work.
constexpr std::size_t kElementGrain = 16384;

std::size_t channel_grain(const PackedLayout& layout) {
  return std::max<std::size_t>(1, kElementGrain / std::max<std::size_t>(1, layout.seq_len()));
}

template <class T, class Byte>
auto elements(std::span<Byte> bytes) {
  using Element = std::conditional_t<std::is_const_v<Byte>, const T, T>;
  return std::span<Element>(reinterpret_cast<Element*>(bytes.data()), bytes.size() / sizeof(T));
}

/// The larger of two magnitudes, NaN being the largest.
float larger(float a, float b) noexcept { return std::isnan(a) || a >= b ? a : b; }

/// The rows of `range`, counted from the segment's first channel: one run if rows are packed, otherwise row by row
/// without the padding. Calls body(bytes of the run, index of its first element in the segment); returns the largest
/// of what it gives.
template <class Byte, class Body>
float largest_of_runs(PackedView<Byte> view, const Segment& segment, math::Range range, const Body& body) {
  const mil::SurfaceLayout& surface = view.layout.surface();
  const std::size_t seq_len = surface.row_elements;
  const std::size_t row_bytes = seq_len * mil::element_bytes(view.layout.element());
  if (surface.is_packed(view.layout.element()))
    return body(view.bytes.subspan((segment.begin + range.begin) * row_bytes, range.size() * row_bytes),
                range.begin * seq_len);
  float largest = 0;
  for (std::size_t row = range.begin; row < range.end; ++row)
    largest =
        larger(largest, body(view.bytes.subspan((segment.begin + row) * surface.row_bytes, row_bytes), row * seq_len));
  return largest;
}

/// All rows of the segment.
template <class Byte, class Body>
float largest_of_runs(PackedView<Byte> view, const Segment& segment, math::ThreadPool& threads, const Body& body) {
  assert(view.bytes.size() >= view.layout.surface().size_bytes);
  float largest = 0;
  std::mutex mutex;
  threads.parallel_for(segment.channels, channel_grain(view.layout), [&](math::Range range) {
    const float magnitude = largest_of_runs(view, segment, range, body);
    const std::lock_guard lock(mutex);
    largest = larger(largest, magnitude);
  });
  return largest;
}

/// Calls body(the bytes as elements, ...) for the type that the layout says.
template <class Byte, class Body>
float as_elements(mil::DType element, std::span<Byte> run, const Body& body) {
  return element == mil::DType::fp16 ? body(elements<math::Half>(run)) : body(elements<float>(run));
}

}  // namespace

PackedLayout::PackedLayout(mil::DType element, std::size_t seq_len,
                           std::initializer_list<std::pair<std::string_view, std::size_t>> segments) {
  std::size_t channels = 0;
  for (const auto& [name, count] : segments) {
    if (count == 0) throw Error(fmt::format("segment '{}' has no channels", name));
    const auto same = [&, wanted = name](const Segment& segment) { return segment.name == wanted; };
    if (std::any_of(segments_.begin(), segments_.end(), same))
      throw Error(fmt::format("two segments are called '{}'", name));
    segments_.push_back({std::string(name), count, channels});
    channels += count;
  }
  type_ = {element, shape_of({1, channels, 1, seq_len})};
  surface_ = mil::surface_layout(type_);
}

const Segment& PackedLayout::at(std::string_view name) const {
  const auto found =
      std::find_if(segments_.begin(), segments_.end(), [&](const Segment& segment) { return segment.name == name; });
  if (found != segments_.end()) return *found;
  std::string names;
  for (const Segment& segment : segments_) names += (names.empty() ? "" : ", ") + segment.name;
  throw Error(fmt::format("there is no segment '{}' among {}", name, names));
}

float write_segment(PackedView<std::byte> to, std::string_view name, std::span<const float> values,
                    math::ThreadPool& threads) {
  const Segment& segment = to.layout.at(name);
  assert(values.size() == segment.channels * to.layout.seq_len());
  return largest_of_runs(to, segment, threads, [&](std::span<std::byte> run, std::size_t first) {
    return as_elements(to.layout.element(), run,
                       [&](auto target) { return math::transfer(values.subspan(first, target.size()), target); });
  });
}

float read_segment(PackedView<const std::byte> from, std::string_view name, std::span<float> values,
                   math::ThreadPool& threads) {
  const Segment& segment = from.layout.at(name);
  assert(values.size() == segment.channels * from.layout.seq_len());
  return largest_of_runs(from, segment, threads, [&](std::span<const std::byte> run, std::size_t first) {
    return as_elements(from.layout.element(), run,
                       [&](auto source) { return math::transfer(source, values.subspan(first, source.size())); });
  });
}

float read_segment_added(PackedView<const std::byte> from, std::string_view name, std::span<const float> base,
                         std::span<float> sum, math::ThreadPool& threads) {
  const Segment& segment = from.layout.at(name);
  assert(sum.size() == segment.channels * from.layout.seq_len() && base.size() == sum.size());
  return largest_of_runs(from, segment, threads, [&](std::span<const std::byte> run, std::size_t first) {
    return as_elements(from.layout.element(), run, [&](auto source) {
      return math::transfer_add(source, base.subspan(first, source.size()), sum.subspan(first, source.size()));
    });
  });
}

float copy_segment(PackedView<const std::byte> from, std::string_view name, PackedView<std::byte> to,
                   math::ThreadPool& threads) {
  const Segment& source = from.layout.at(name);
  const Segment& target = to.layout.at(name);
  assert(source.channels == target.channels && from.layout.element() == to.layout.element() &&
         from.layout.seq_len() == to.layout.seq_len());
  // Equal types have equal row pitches.
  const std::ptrdiff_t shift = (static_cast<std::ptrdiff_t>(target.begin) - static_cast<std::ptrdiff_t>(source.begin)) *
                               static_cast<std::ptrdiff_t>(from.layout.surface().row_bytes);
  return largest_of_runs(from, source, threads, [&](std::span<const std::byte> run, std::size_t /*first*/) {
    const std::ptrdiff_t offset = run.data() - from.bytes.data() + shift;
    const std::span<std::byte> to_run = to.bytes.subspan(static_cast<std::size_t>(offset), run.size());
    return from.layout.element() == mil::DType::fp16
               ? math::transfer(elements<math::Half>(run), elements<math::Half>(to_run))
               : math::transfer(elements<float>(run), elements<float>(to_run));
  });
}

float max_magnitude(PackedView<const std::byte> from, std::string_view name, math::ThreadPool& threads) {
  return largest_of_runs(
      from, from.layout.at(name), threads, [&](std::span<const std::byte> run, std::size_t /*first*/) {
        return as_elements(from.layout.element(), run, [](auto values) { return math::max_magnitude(values); });
      });
}

}  // namespace ane::model
