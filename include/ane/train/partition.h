#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "ane/model/parameters.h"
#include "ane/train/state.h"

namespace ane::train {

/// The part of a tensor that a rank updates, in elements of the flat array.
struct Piece {
  model::Parameter parameter;
  std::size_t begin = 0, end = 0;

  [[nodiscard]] std::size_t size() const noexcept { return end - begin; }
  template <class T>
  [[nodiscard]] std::span<T> of(std::span<T> flat) const {
    return flat.subspan(begin, size());
  }
};

/// How the flat array of parameters is divided among the ranks of a run. Each rank sums the gradients of its part,
/// updates its part of the parameters, and keeps only that part of the optimizer's slots.
///
/// The array is first cut into segments, one for each layer and one for what comes before and after the layers, and
/// each segment is divided among all ranks. So the gradients of a layer can be exchanged, by all ranks at once, while
/// earlier layers are still in their backward pass.
class Partition {
 public:
  using IsWhole = std::function<bool(const model::Parameter&)>;

  /// `is_whole`: whether a tensor must not be divided; empty: any may be.
  Partition(const model::ParameterLayout& layout, int ranks, int rank, const IsWhole& is_whole = {});

  struct Segment {
    std::vector<std::size_t> bounds;   ///< ranks + 1 of them; rank r owns [bounds[r], bounds[r + 1])
    std::optional<std::size_t> layer;  ///< whose parameters these are
  };
  [[nodiscard]] int ranks() const noexcept { return ranks_; }
  /// In the order of the array. The backward pass completes their gradients in the opposite order.
  [[nodiscard]] std::span<const Segment> segments() const& noexcept { return segments_; }
  void segments() const&& = delete;

  /// What this rank owns, in the order of the array: at most one piece of each tensor.
  [[nodiscard]] std::span<const Piece> own() const& noexcept { return own_; }
  void own() const&& = delete;

  /// This rank's part of an optimizer's slots: of each parameter that has values in a slot, the values of the own
  /// piece.
  [[nodiscard]] StateSlots own_part_of(const StateSlots& whole) const;

 private:
  int ranks_;
  std::vector<Segment> segments_;
  std::vector<Piece> own_;
};

/// All tensors as pieces.
[[nodiscard]] std::vector<Piece> whole_pieces(const model::ParameterLayout& layout);

}  // namespace ane::train
