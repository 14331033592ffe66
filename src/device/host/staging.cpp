#include "staging.h"

#include <algorithm>
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
  return rows.rank() == 2 && rows.strides[1] == 1 && rows.strides[0] > rows.shape[1];
}

StagedCopy::StagedCopy(const View& from, const View& to, mil::DType storage, std::size_t input)
    : from_(slot(from)), to_(slot(to)), input_(input), storage_(storage) {
  assert(fits(from) && (storage == mil::DType::fp16 || storage == mil::DType::fp32));
  const View rows = in_memory_order(from);
  rows_ = static_cast<std::size_t>(rows.shape[0]);
  columns_ = static_cast<std::size_t>(rows.shape[1]);
  pitch_ = static_cast<std::size_t>(rows.strides[0]);
}

bool StagedCopy::is_resident(const surface::Resident& resident) const noexcept {
  const std::size_t element_bytes = mil::element_bytes(storage_);
  const std::size_t first_column = static_cast<std::size_t>(from_.offset) % pitch_;
  return resident.row_bytes == pitch_ * element_bytes && first_column * element_bytes >= resident.begin;
}

void StagedCopy::run(const RunContext& context) const {
  context.parallel_for(rows_, std::max<std::size_t>(1, kElementGrain / columns_),
                       [&](math::Range range) { run_rows(context, range); });
}

void StagedCopy::run_rows(const RunContext& context, math::Range range) const {
  auto* const to = context.at<float>(to_);
  for (std::size_t row = range.begin; row < range.end; ++row) {
    const std::span<float> out(to + row * columns_, columns_);
    if (storage_ == mil::DType::fp16) {
      math::to_float({context.at<math::Half>(from_) + row * pitch_, columns_}, out);
    } else {
      std::copy_n(context.at<float>(from_) + row * pitch_, columns_, out.data());
    }
  }
}

}  // namespace ane::device::host
