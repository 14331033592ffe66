#include "lower/expansion.h"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

#include "ane/mil/blob.h"

namespace ane::device::host {
namespace {

constexpr std::int64_t kBitsPerByte = 8;

}  // namespace

void TableExpansion::run(const RunContext& context) const {
  in_blob_ ? expand<std::uint8_t>(context) : expand<std::int32_t>(context);
}

template <class Byte>
void TableExpansion::expand(const RunContext& context) const {
  const Byte* const bytes = context.at<Byte>(indices_);
  const std::int32_t* const table = context.at<std::int32_t>(table_);
  std::int32_t* const out = context.at<std::int32_t>(out_);
  const std::uint32_t mask = (1U << bits_) - 1;
  for (std::int64_t i = 0; i < count_; ++i) {
    const std::int64_t bit = i * bits_;
    const std::int64_t shift = bit % kBitsPerByte;
    auto both = static_cast<std::uint32_t>(bytes[bit / kBitsPerByte]);
    const bool goes_on = shift + bits_ > kBitsPerByte;
    if (goes_on) both |= static_cast<std::uint32_t>(bytes[bit / kBitsPerByte + 1]) << kBitsPerByte;
    out[i] = table[both >> shift & mask];
  }
}

void MaskExpansion::run(const RunContext& context) const {
  in_blob_ ? expand<std::uint8_t>(context) : expand<std::int32_t>(context);
}

template <class Byte>
void MaskExpansion::expand(const RunContext& context) const {
  const Byte* const bytes = context.at<Byte>(mask_);
  const std::int32_t* values = context.at<std::int32_t>(values_);
  std::int32_t* const out = context.at<std::int32_t>(out_);
  const auto byte = [bytes](std::int64_t i) { return static_cast<std::uint32_t>(bytes[i]); };
  std::int64_t set = 0;
  for (std::int64_t i = 0; i < bytes_; ++i) set += std::popcount(byte(i));
  const std::int64_t used = count_ % kBitsPerByte;
  const bool past_the_end = used != 0 && byte(bytes_ - 1) >> used != 0;
  if (set != value_count_ || past_the_end) {
    throw mil::BlobError(
        fmt::format("op '{}': the mask sets {} bits{}, expected {}, one for each element of nonzero_data", operation_,
                    set, past_the_end ? ", some of them past the last element" : "", value_count_));
  }
  for (std::int64_t i = 0; i < count_; ++i) {
    out[i] = (byte(i / kBitsPerByte) >> i % kBitsPerByte & 1U) != 0 ? *values++ : 0;
  }
}

}  // namespace ane::device::host
