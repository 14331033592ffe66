#include "ane/model/packed_layout.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "ane/core/error.h"
#include "ane/math/half.h"

#include "model/rig.h"
#include "support/catch.h"

namespace ane::model {
namespace {

using mil::DType;

TEST_CASE("segments are concatenated along the channels", "[model][layout]") {
  const PackedLayout layout(DType::fp16, 32, {{"a", 3}, {"b", 5}});
  CHECK(layout.channels() == 8);
  CHECK(layout.width() == 32);
  CHECK(layout.at("b").begin == 3);
  CHECK(layout.at("b").channels == 5);
  CHECK(layout.type().shape == mil::Shape{1, 8, 1, 32});
  CHECK(layout.surface().size_bytes == 8 * 64);
  CHECK_THROWS_WITH(layout.at("c"), ANE_CONTAINS("unknown segment 'c'; available: a, b"));
  CHECK_THROWS_AS(PackedLayout(DType::fp16, 32, {{"a", 3}, {"a", 5}}), Error);
  CHECK_THROWS_AS(PackedLayout(DType::fp16, 32, {{"a", 0}}), Error);
}

TEST_CASE("a segment is written and read back without touching anything else", "[model][layout]") {
  math::ThreadPool threads(2);
  const DType element = GENERATE(DType::fp16, DType::fp32);
  const std::size_t seq_len = GENERATE(as<std::size_t>{}, 1, 17, 32, 33, 96);  // packed rows and padded ones
  CAPTURE(mil::name(element), seq_len);
  const PackedLayout layout(element, seq_len, {{"a", 3}, {"b", 40}, {"c", 2}});
  const PackedLayout other(element, seq_len, {{"c", 7}, {"b", 40}});
  std::vector<std::byte> bytes(layout.surface().size_bytes, std::byte{0x55});
  std::vector<std::byte> other_bytes(other.surface().size_bytes, std::byte{0x55});

  std::vector<float> values(40 * seq_len);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 2000) - 1000;  // exact in fp16
  write_segment({layout, bytes}, "b", values, threads);
  copy_segment({layout, bytes}, "b", {other, other_bytes}, threads);
  std::vector<float> read(values.size());
  read_segment({other, other_bytes}, "b", read, threads);
  CHECK(read == values);

  std::vector<float> twice(values.size());
  read_segment_added({other, other_bytes}, "b", values, twice, threads);
  CHECK(std::ranges::equal(twice, values, [](float found, float value) { return found == 2 * value; }));

  const std::size_t pitch = layout.surface().row_bytes;
  for (std::size_t at = 0; at < 3 * pitch; ++at)
    if (bytes[at] != std::byte{0x55}) FAIL("byte " << at << " of the segment before");
  for (std::size_t at = 43 * pitch; at < bytes.size(); ++at)
    if (bytes[at] != std::byte{0x55}) FAIL("byte " << at << " of the segment after");
}

TEST_CASE("windows are concatenated along columns, in the largest number of channels", "[model][layout]") {
  math::ThreadPool threads(2);
  const DType element = GENERATE(DType::fp16, DType::fp32);
  const std::vector<PackedLayout::Window> windows = {{"x", 3, 17}, {"y", 40, 17}, {"w", 40, 24}};
  const PackedLayout layout = PackedLayout::along_columns(element, windows);
  CHECK(layout.channels() == 40);
  CHECK(layout.width() == 64);  // 58, padded
  CHECK(layout.at("y").first_column == 17);
  CHECK(layout.at("w").first_column == 34);
  CHECK(layout.at("w").begin == 0);
  CHECK(layout.surface().is_packed(element));
  CHECK_THROWS_AS(PackedLayout::along_columns(element, std::vector<PackedLayout::Window>{{"x", 3, 0}}), Error);
  CHECK_THROWS_AS(PackedLayout::along_columns(element, std::vector<PackedLayout::Window>{{"x", 3, 1}, {"x", 3, 1}}),
                  Error);

  std::vector<std::byte> bytes(layout.surface().size_bytes, std::byte{0xFF});  // NaN
  const auto values_of = [](std::size_t count, float first) {
    std::vector<float> values(count);
    for (std::size_t i = 0; i < count; ++i) values[i] = first + static_cast<float>(i % 1000);  // exact in fp16
    return values;
  };
  const std::vector<float> x = values_of(3 * 17, 0);
  const std::vector<float> w_turned = values_of(24 * 40, 1);  // [24, 40]
  write_segment({layout, bytes}, "x", x, threads);
  write_transposed({layout, bytes}, "w", w_turned);
  write_segment({layout, bytes}, "y", std::vector<float>(40 * 17, -3000));

  std::vector<float> read(40 * 24);
  read_segment({layout, bytes}, "w", read, threads);
  for (std::size_t channel = 0; channel < 40; ++channel)
    for (std::size_t column = 0; column < 24; ++column)
      if (read[channel * 24 + column] != w_turned[column * 40 + channel]) FAIL(channel << ", " << column);
  CHECK(max_magnitude({layout, bytes}, "y", threads) == 3000);
  CHECK(max_magnitude({layout, bytes}, "x", threads) == x.back());

  const PackedLayout output(element, 17, {{"before", 2}, {"x", 3}});
  std::vector<std::byte> output_bytes(output.surface().size_bytes);
  copy_segment({layout, bytes}, "x", {output, output_bytes}, threads);
  std::vector<float> copied(x.size());
  read_segment({output, output_bytes}, "x", copied, threads);
  CHECK(copied == x);
}

TEST_CASE("blocks follow the windows in whole rows of their width", "[model][layout]") {
  math::ThreadPool threads(2);
  const DType element = GENERATE(DType::fp16, DType::fp32);
  const std::vector<PackedLayout::Window> windows = {{"x", 3, 17}, {"y", 5, 40}};
  const std::vector<PackedLayout::Window> blocks = {{"w", 48, 24}, {"odd", 3, 20}, {"vector", 1, 7}, {"like", 2, 64}};
  const PackedLayout layout = PackedLayout::along_channels(element, windows, blocks);
  CHECK(layout.width() == 64);  // 40, padded
  CHECK(layout.at("x").begin == 0);
  CHECK(layout.at("y").begin == 3);
  CHECK_FALSE(layout.is_block(layout.at("y")));
  CHECK(layout.at("w").begin == 8);
  CHECK(layout.at("w").rows == 18);
  CHECK(layout.is_block(layout.at("w")));
  CHECK(layout.at("odd").begin == 26);
  CHECK(layout.at("odd").rows == 5);     // 16 channels of 20
  CHECK(layout.at("vector").rows == 7);  // 64 channels of 7
  CHECK_FALSE(layout.is_block(layout.at("like")));
  CHECK(layout.channels() == 3 + 5 + 18 + 5 + 7 + 2);
  for (const Segment& segment : layout.segments()) CHECK(segment.first_column == 0);
  CHECK(layout.surface().is_packed(element));
  const std::vector<PackedLayout::Window> empty = {{"e", 3, 0}};
  CHECK_THROWS_AS(PackedLayout::along_channels(element, empty, {}), Error);
  CHECK_THROWS_AS(PackedLayout::along_channels(element, windows, empty), Error);

  std::vector<std::byte> bytes(layout.surface().size_bytes, std::byte{0xFF});  // NaN
  std::vector<float> numbers(48 * 24);
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<float>(i) - 1000;  // exact in fp16
  const std::vector<float> odd(numbers.begin(), numbers.begin() + 60);
  write_transposed({layout, bytes}, "w", numbers);  // [24, 48]
  write_segment({layout, bytes}, "odd", odd, threads);
  write_segment({layout, bytes}, "x", std::vector<float>(3 * 17, 2));
  write_segment({layout, bytes}, "vector", std::vector<float>(7, 3));
  CHECK(max_magnitude({layout, bytes}, "w", threads) == 1000);
  CHECK(max_magnitude({layout, bytes}, "odd", threads) == 1000);
  CHECK(max_magnitude({layout, bytes}, "vector", threads) == 3);
  // The elements of a block in the order of the tensor's.
  const auto element_at = [&](std::size_t at) {
    const auto* const halves = reinterpret_cast<const math::Half*>(bytes.data());
    return element == DType::fp16 ? math::to_float(halves[at]) : reinterpret_cast<const float*>(bytes.data())[at];
  };
  for (std::size_t channel = 0; channel < 48; ++channel)
    for (std::size_t column = 0; column < 24; ++column)
      if (element_at(std::size_t{8} * 64 + channel * 24 + column) != numbers[column * 48 + channel])
        FAIL(channel << ", " << column);
  for (std::size_t i = 0; i < odd.size(); ++i)
    if (element_at(std::size_t{26} * 64 + i) != odd[i]) FAIL(i);
  std::vector<float> read(odd.size());
  read_segment({layout, bytes}, "odd", read, threads);
  CHECK(read == odd);
}

TEST_CASE("the largest magnitude of a segment ignores adjacent segments and padding", "[model][layout]") {
  math::ThreadPool threads(2);
  const DType element = GENERATE(DType::fp16, DType::fp32);
  const std::size_t seq_len = GENERATE(as<std::size_t>{}, 17, 32);
  const PackedLayout layout(element, seq_len, {{"a", 3}, {"b", 40}, {"c", 2}});
  std::vector<std::byte> bytes(layout.surface().size_bytes, std::byte{0xFF});  // NaN
  const PackedLayout other(element, seq_len, {{"c", 7}, {"b", 40}});
  std::vector<std::byte> other_bytes(other.surface().size_bytes);
  std::vector<float> values(40 * seq_len, 1.5F);
  std::vector<float> read(values.size());
  const std::vector<float> zeros(values.size());
  const auto same = [](float a, float b) { return a == b || (std::isnan(a) && std::isnan(b)); };
  // With every way of accessing it.
  const auto magnitude = [&] {
    const float written = write_segment({layout, bytes}, "b", values, threads);
    CHECK(same(max_magnitude({layout, bytes}, "b", threads), written));
    CHECK(same(read_segment({layout, bytes}, "b", read, threads), written));
    CHECK(same(read_segment_added({layout, bytes}, "b", zeros, read, threads), written));
    CHECK(same(copy_segment({layout, bytes}, "b", {other, other_bytes}, threads), written));
    return written;
  };
  CHECK(magnitude() == 1.5F);
  values[35 * seq_len + 3] = -20000;
  CHECK(magnitude() == 20000);
  values[2 * seq_len] = std::numeric_limits<float>::infinity();
  CHECK(magnitude() == std::numeric_limits<float>::infinity());
  values[20 * seq_len + 1] = std::numeric_limits<float>::quiet_NaN();
  CHECK(std::isnan(magnitude()));
}

}  // namespace
}  // namespace ane::model
