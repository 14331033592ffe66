#include "formats/meta_format.h"

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <utility>
#include <vector>

namespace ane::model {

namespace {

/// The place in Hugging Face's order of row `row` in Meta's order, of `rows` of a head.
std::size_t place_of(std::size_t row, std::size_t rows) { return row / 2 + (row % 2 == 0 ? 0 : rows / 2); }

/// Moves the rows of each head; move(row) returns the places from and to which one of them moves.
template <class Move>
void for_heads(const Parameter& parameter, std::span<float> values, Move&& move) {
  if (parameter.rotated_rows == 0) return;
  const auto columns = static_cast<std::size_t>(parameter.shape.at(1));
  const std::size_t head_size = parameter.rotated_rows * columns;
  assert(values.size() == parameter.count && values.size() % head_size == 0);
  std::vector<float> head(head_size);
  for (; !values.empty(); values = values.subspan(head_size)) {
    std::ranges::copy(values.first(head_size), head.begin());
    for (std::size_t row = 0; row < parameter.rotated_rows; ++row) {
      const auto [from, to] = move(row);
      std::ranges::copy(std::span(head).subspan(from * columns, columns), values.subspan(to * columns).begin());
    }
  }
}

}  // namespace

void reorder_rows_of_meta(const Parameter& parameter, std::span<float> values) {
  for_heads(parameter, values, [&](std::size_t row) { return std::pair(row, place_of(row, parameter.rotated_rows)); });
}

void reorder_rows_for_meta(const Parameter& parameter, std::span<float> values) {
  for_heads(parameter, values, [&](std::size_t row) { return std::pair(place_of(row, parameter.rotated_rows), row); });
}

}  // namespace ane::model
