#include "run/staging.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <span>

#include "ane/math/half.h"

namespace ane::device::host {
namespace {

constexpr std::size_t kElementGrain = 16384;

/// The view without dimensions of 1, rows outermost.
View in_memory_order(const View& view) {
  const View packed = squeezed(view);
  Dims perm;
  for (const std::size_t dim : memory_order(packed)) perm.push_back(static_cast<std::int64_t>(dim));
  return permuted(packed, perm);
}

}  // namespace

bool StagedCopy::fits(const View& view) {
  const View rows = in_memory_order(view);
  return rows.rank() == 2 && rows.strides[1] == 1 && rows.strides[0] >= rows.shape[1];
}

bool StagedCopy::has_gaps(const View& view) {
  const View rows = in_memory_order(view);
  return rows.strides[0] > rows.shape[1];
}

StagedCopy::StagedCopy(const View& from, const View& to, mil::DType storage, std::size_t input)
    : from_(slot(from)), to_(slot(to)), input_(input), storage_(storage) {
  assert(fits(from) && (storage == mil::DType::fp16 || storage == mil::DType::fp32));
  const View rows = in_memory_order(from);
  rows_ = static_cast<std::size_t>(rows.shape[0]);
  columns_ = static_cast<std::size_t>(rows.shape[1]);
  pitch_ = static_cast<std::size_t>(rows.strides[0]);
  for (std::size_t dim = 0; dim < from.rank(); ++dim)
    if (from.shape[dim] > 1 && from.strides[dim] == 1) turned_ = to.strides[dim] != 1;
}

bool StagedCopy::is_resident(const surface::Resident& resident) const noexcept {
  const std::size_t element_bytes = mil::element_bytes(storage_);
  const std::size_t begin = static_cast<std::size_t>(from_.offset) * element_bytes % resident.row_bytes;
  if (begin < resident.begin) return false;
  const std::size_t pitch_bytes = pitch_ * element_bytes;
  const bool lies_in_one_row = begin + (rows_ - 1) * pitch_bytes + columns_ * element_bytes <= resident.row_bytes;
  return pitch_bytes == resident.row_bytes || lies_in_one_row;
}

void StagedCopy::run(const RunContext& context) const {
  context.parallel_for(rows_, std::max<std::size_t>(1, kElementGrain / columns_), [&](math::Range range) {
    turned_ ? run_rows_turned(context, range) : run_rows(context, range);
  });
}

void StagedCopy::run_rows(const RunContext& context, math::Range range) const {
  auto* const to = context.at<float>(to_);
  for (std::size_t row = range.begin; row < range.end; ++row) convert(context, row, 0, {to + row * columns_, columns_});
}

// In tiles, so that whole cache lines of the target are written.
void StagedCopy::run_rows_turned(const RunContext& context, math::Range range) const {
  constexpr std::size_t kTileRows = 16;
  constexpr std::size_t kTileColumns = 64;
  std::array<float, kTileRows * kTileColumns> tile{};
  auto* const to = context.at<float>(to_);
  for (std::size_t row = range.begin; row < range.end; row += kTileRows) {
    const std::size_t height = std::min(kTileRows, range.end - row);
    for (std::size_t column = 0; column < columns_; column += kTileColumns) {
      const std::size_t width = std::min(kTileColumns, columns_ - column);
      for (std::size_t r = 0; r < height; ++r)
        convert(context, row + r, column, std::span(tile).subspan(r * kTileColumns, width));
      for (std::size_t c = 0; c < width; ++c)
        for (std::size_t r = 0; r < height; ++r) to[(column + c) * rows_ + row + r] = tile[r * kTileColumns + c];
    }
  }
}

void StagedCopy::convert(const RunContext& context, std::size_t row, std::size_t column, std::span<float> to) const {
  const std::size_t first = row * pitch_ + column;
  if (storage_ == mil::DType::fp16) {
    math::to_float({context.at<math::Half>(from_) + first, to.size()}, to);
  } else {
    std::copy_n(context.at<float>(from_) + first, to.size(), to.data());
  }
}

}  // namespace ane::device::host
