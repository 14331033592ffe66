#include "ane/train/partition.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

#include "ane/core/checked.h"

namespace ane::train {

namespace {

/// Slices are multiples of this many elements, so that they begin at cache lines.
constexpr std::size_t kSliceGrain = 16;

std::optional<std::size_t> layer_of(std::string_view parameter) {
  constexpr std::string_view kLayerPrefix = "model.layers.";
  if (!parameter.starts_with(kLayerPrefix)) return std::nullopt;
  parameter.remove_prefix(kLayerPrefix.size());
  std::size_t layer = 0;
  std::from_chars(parameter.data(), parameter.data() + parameter.size(), layer);
  return layer;
}

/// Where to end a slice that should end at `wish`: not inside a tensor that must stay whole.
std::size_t bound_near(std::size_t wish, std::span<const model::Parameter> tensors, const Partition::IsWhole& is_whole,
                       std::size_t end) {
  const auto after = std::ranges::upper_bound(tensors, wish, {}, &model::Parameter::offset);
  const model::Parameter& tensor = *std::prev(after);
  if (!is_whole || !is_whole(tensor)) return std::min(round_up(wish, kSliceGrain), end);
  const std::size_t next = after == tensors.end() ? end : after->offset;
  return wish - tensor.offset < next - wish ? tensor.offset : next;
}

}  // namespace

Partition::Partition(const model::ParameterLayout& layout, int ranks, int rank, const IsWhole& is_whole)
    : ranks_(ranks) {
  const std::span<const model::Parameter> all = layout.parameters();
  const auto count = static_cast<std::size_t>(ranks);
  for (std::size_t first = 0; first < all.size();) {
    const std::optional<std::size_t> layer = layer_of(all[first].name);
    std::size_t last = first + 1;
    while (last < all.size() && layer_of(all[last].name) == layer) ++last;
    const std::span<const model::Parameter> tensors = all.subspan(first, last - first);
    const std::size_t begin = all[first].offset;
    const std::size_t end = last < all.size() ? all[last].offset : layout.size();
    Segment segment{.bounds = {begin}, .layer = layer};
    for (std::size_t i = 1; i < count; ++i)
      segment.bounds.push_back(
          std::max(segment.bounds.back(), bound_near(begin + (end - begin) * i / count, tensors, is_whole, end)));
    segment.bounds.push_back(end);
    const auto own = static_cast<std::size_t>(rank);
    for (const model::Parameter& tensor : tensors) {
      Piece piece{tensor, std::max(tensor.offset, segment.bounds[own]),
                  std::min(tensor.offset + tensor.count, segment.bounds[own + 1])};
      if (piece.begin < piece.end) own_.push_back(std::move(piece));
    }
    segments_.push_back(std::move(segment));
    first = last;
  }
}

StateSlots Partition::own_part_of(const StateSlots& whole) const {
  StateSlots slots;
  for (const StateSlot& slot : whole) {
    model::ParameterLayout part;
    for (const Piece& piece : own_) {
      if (slot.layout.find(piece.parameter.name) == nullptr) continue;
      model::Parameter values = piece.parameter;
      if (piece.size() != values.count) values.shape = {static_cast<std::int64_t>(piece.size())};
      part.add(std::move(values));
    }
    slots.push_back({slot.name, std::move(part)});
  }
  return slots;
}

std::vector<Piece> whole_pieces(const model::ParameterLayout& layout) {
  std::vector<Piece> pieces;
  for (const model::Parameter& parameter : layout.parameters())
    pieces.push_back({parameter, parameter.offset, parameter.offset + parameter.count});
  return pieces;
}

}  // namespace ane::train
