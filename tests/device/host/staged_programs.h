#pragma once

#include <array>
#include <cstdint>
#include <numeric>
#include <utility>

#include "ane/mil/builder.h"

/// Products with weights in the input, beside or below the activations.
namespace ane::device::host {

inline constexpr std::int64_t kChannels = 24;
inline constexpr std::int64_t kColumns = 32;
inline constexpr std::int64_t kOut = 64;
inline constexpr std::int64_t kWidth = kColumns + kOut;

/// y = W x for the columns x [C, 32] and W^T [C, 64] of one input.
inline mil::Program product_of_columns(mil::DType element) {
  mil::Builder b(element);
  const mil::Var pack = b.input("pack", {1, kChannels, 1, kWidth});
  const mil::Var x =
      b.reshape("x", b.slice("x_part", pack, {0, 0, 0, 0}, {1, kChannels, 1, kColumns}), {1, 1, kChannels, kColumns});
  const mil::Var w =
      b.reshape("w", b.slice("w_part", pack, {0, 0, 0, kColumns}, {1, kChannels, 1, kOut}), {1, 1, kChannels, kOut});
  const mil::Var rows = b.matmul("rows", b.transpose("x_rows", x, {0, 1, 3, 2}), w);
  const mil::Var y = b.reshape("y", b.transpose("turned", rows, {0, 1, 3, 2}), {1, kOut, 1, kColumns});
  return std::move(b).finish(std::array{y});
}

inline constexpr std::int64_t kRows = kChannels * kOut / kColumns;  // of the weights below the activations

/// The same product for x [C, 32] and, below it, W^T [C, `out`] in rows of 32 elements, the last of them padded.
inline mil::Program product_of_rows(mil::DType element, std::int64_t out = kOut) {
  const std::int64_t channels_of_whole_rows = kColumns / std::gcd(kColumns, out);
  const std::int64_t padded =
      (kChannels + channels_of_whole_rows - 1) / channels_of_whole_rows * channels_of_whole_rows;
  const std::int64_t count = padded * out / kColumns;
  mil::Builder b(element);
  const mil::Var pack = b.input("pack", {1, kChannels + count, 1, kColumns});
  const mil::Var x =
      b.reshape("x", b.slice("x_part", pack, {0, 0, 0, 0}, {1, kChannels, 1, kColumns}), {1, 1, kChannels, kColumns});
  const mil::Var w_rows = b.slice("w_rows", pack, {0, kChannels, 0, 0}, {1, count, 1, kColumns});
  const mil::Var w_padded = b.reshape("w_padded", w_rows, {1, padded, 1, out});
  const mil::Var w_part = b.slice("w_part", w_padded, {0, 0, 0, 0}, {1, kChannels, 1, out});
  const mil::Var w = b.reshape("w", w_part, {1, 1, kChannels, out});
  const mil::Var rows = b.matmul("rows", b.transpose("x_rows", x, {0, 1, 3, 2}), w);
  const mil::Var y = b.reshape("y", b.transpose("turned", rows, {0, 1, 3, 2}), {1, out, 1, kColumns});
  return std::move(b).finish(std::array{y});
}

}  // namespace ane::device::host
