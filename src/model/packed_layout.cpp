#include "ane/model/packed_layout.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
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

/// The rows of `range`, counted from the segment's first channel: one run if rows are packed, otherwise row by row
/// without the padding. Calls body(bytes of the run, index of its first element in the segment).
template <class Byte, class Body>
void for_each_run(PackedView<Byte> view, const Segment& segment, math::Range range, Body&& body) {
  const mil::SurfaceLayout& surface = view.layout.surface();
  const std::size_t seq_len = surface.row_elements;
  const std::size_t row_bytes = seq_len * mil::element_bytes(view.layout.element());
  if (surface.is_packed(view.layout.element())) {
    body(view.bytes.subspan((segment.begin + range.begin) * row_bytes, range.size() * row_bytes),
         range.begin * seq_len);
    return;
  }
  for (std::size_t row = range.begin; row < range.end; ++row)
    body(view.bytes.subspan((segment.begin + row) * surface.row_bytes, row_bytes), row * seq_len);
}

template <class Byte, class Body>
void for_each_run(PackedView<Byte> view, const Segment& segment, math::ThreadPool& threads, Body&& body) {
  assert(view.bytes.size() >= view.layout.surface().size_bytes);
  threads.parallel_for(segment.channels, channel_grain(view.layout),
                       [&](math::Range range) { for_each_run(view, segment, range, body); });
}

float max_of(std::span<const std::byte> run, mil::DType element) {
  return element == mil::DType::fp16 ? math::max_magnitude(elements<math::Half>(run))
                                     : math::max_magnitude(elements<float>(run));
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

void write_segment(PackedView<std::byte> to, std::string_view name, std::span<const float> values,
                   math::ThreadPool& threads) {
  const Segment& segment = to.layout.at(name);
  assert(values.size() == segment.channels * to.layout.seq_len());
  const bool is_half = to.layout.element() == mil::DType::fp16;
  for_each_run(to, segment, threads, [&](std::span<std::byte> run, std::size_t first) {
    if (is_half) {
      const auto halves = elements<math::Half>(run);
      math::to_half(values.subspan(first, halves.size()), halves);
    } else {
      std::memcpy(run.data(), &values[first], run.size());
    }
  });
}

void read_segment(PackedView<const std::byte> from, std::string_view name, std::span<float> values,
                  math::ThreadPool& threads) {
  const Segment& segment = from.layout.at(name);
  assert(values.size() == segment.channels * from.layout.seq_len());
  const bool is_half = from.layout.element() == mil::DType::fp16;
  for_each_run(from, segment, threads, [&](std::span<const std::byte> run, std::size_t first) {
    if (is_half) {
      const auto halves = elements<math::Half>(run);
      math::to_float(halves, values.subspan(first, halves.size()));
    } else {
      std::memcpy(&values[first], run.data(), run.size());
    }
  });
}

void copy_segment(PackedView<const std::byte> from, std::string_view name, PackedView<std::byte> to,
                  math::ThreadPool& threads) {
  const Segment& source = from.layout.at(name);
  const Segment& target = to.layout.at(name);
  assert(source.channels == target.channels && from.layout.element() == to.layout.element() &&
         from.layout.seq_len() == to.layout.seq_len());
  // Equal types have equal row pitches, so padding may come along.
  const std::size_t pitch = from.layout.surface().row_bytes;
  threads.parallel_for(source.channels, channel_grain(from.layout), [&](math::Range range) {
    std::memcpy(&to.bytes[(target.begin + range.begin) * pitch], &from.bytes[(source.begin + range.begin) * pitch],
                range.size() * pitch);
  });
}

float max_magnitude(PackedView<const std::byte> from, std::string_view name, math::ThreadPool& threads) {
  float largest = 0;
  std::mutex mutex;
  for_each_run(from, from.layout.at(name), threads, [&](std::span<const std::byte> run, std::size_t /*first*/) {
    const float magnitude = max_of(run, from.layout.element());
    const std::lock_guard lock(mutex);
    if (!(magnitude <= largest) && !std::isnan(largest)) largest = magnitude;  // NaN is the largest
  });
  return largest;
}

}  // namespace ane::model
