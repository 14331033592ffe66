#include "gather.h"

#include <algorithm>

#include <fmt/format.h>

#include "ane/core/error.h"

namespace ane::device::host {

void Gather::run(const RunContext& context) const {
  const std::int32_t* const x = context.at<std::int32_t>(x_);
  const std::int32_t* const indices = context.at<std::int32_t>(indices_);
  auto* out = context.at<std::int32_t>(out_);
  for (std::int64_t b = 0; b < sizes_.batch; ++b) {
    for (std::int64_t o = 0; o < sizes_.outer; ++o) {
      const std::int32_t* const part = x + (b * sizes_.outer + o) * sizes_.axis * sizes_.inner;
      for (std::int64_t j = 0; j < sizes_.indices; ++j, out += sizes_.inner) {
        const std::int64_t index = indices[b * sizes_.indices + j];
        if (index < -sizes_.axis || index >= sizes_.axis) {
          throw DeviceError(
              fmt::format("gather '{}': index {} lies outside the axis of {}", operation_, index, sizes_.axis));
        }
        std::copy_n(part + (index < 0 ? index + sizes_.axis : index) * sizes_.inner, sizes_.inner, out);
      }
    }
  }
}

TableCopy::TableCopy(const View& x, const View& out, std::vector<Dims> tables, std::int32_t fill_bits)
    : x_(slot(x)), out_(slot(out)), shape_(out.shape), offsets_(std::move(tables)), fill_bits_(fill_bits) {
  for (std::size_t axis = 0; axis < offsets_.size(); ++axis) {
    std::vector<bool>& fill = fill_.emplace_back();
    for (std::int64_t& entry : offsets_[axis]) {
      fill.push_back(entry == kFill);
      entry *= x.strides[axis];
    }
  }
}

void TableCopy::run(const RunContext& context) const {
  const std::int64_t rows = element_count(shape_) / shape_.back();
  const auto grain = static_cast<std::size_t>(std::max<std::int64_t>(1, 8192 / shape_.back()));
  context.parallel_for(static_cast<std::size_t>(rows), grain, [&](math::Range range) { run_rows(context, range); });
}

void TableCopy::run_rows(const RunContext& context, math::Range range) const {
  const std::size_t last = shape_.size() - 1;
  for (std::size_t r = range.begin; r < range.end; ++r) {
    auto row = static_cast<std::int64_t>(r);
    std::int32_t* const out = context.at<std::int32_t>(out_) + row * shape_[last];
    std::int64_t offset = 0;
    bool filled = false;
    for (std::size_t axis = last; axis-- > 0;) {
      const auto at = static_cast<std::size_t>(row % shape_[axis]);
      filled = filled || fill_[axis][at];
      offset += offsets_[axis][at];
      row /= shape_[axis];
    }
    const std::int32_t* const in = context.at<std::int32_t>(x_);
    for (std::size_t i = 0; i < offsets_[last].size(); ++i) {
      out[i] = filled || fill_[last][i] ? fill_bits_ : in[offset + offsets_[last][i]];
    }
  }
}

}  // namespace ane::device::host
