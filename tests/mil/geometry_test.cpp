#include "ane/mil/geometry.h"

#include <string>

#include "ane/mil/text.h"

#include "samples.h"
#include "support/catch.h"

namespace ane::mil {
namespace {

/// Owns the program of a view.
struct Viewed {
  explicit Viewed(const std::string& inputs, const std::string& body) : program(parse(samples::text(inputs, body))) {}
  [[nodiscard]] OpView op() const { return {program.main(), program.main().operations.back()}; }
  Program program;
};

ConvDimension conv_dimension(const std::string& more, std::int64_t out) {
  const Viewed viewed("tensor<fp16, [1, 2, 10]> x, tensor<fp16, [4, 2, 4]> w",
                      "tensor<fp16, [1, 4, " + std::to_string(out) + "]> y = conv(x = x, weight = w" + more + ");");
  const ConvGeometry geometry = conv_geometry(viewed.op());
  CHECK(geometry.batch == 1);
  CHECK(geometry.in_channels == 2);
  CHECK(geometry.out_channels == 4);
  CHECK(geometry.groups == 1);
  REQUIRE(geometry.dimensions.size() == 1);
  CHECK(geometry.dimensions[0].in == 10);
  CHECK(geometry.dimensions[0].kernel == 4);
  CHECK(geometry.dimensions[0].out == out);
  return geometry.dimensions[0];
}

/// The elements that a slice_by_index selects along the first axis of x [8, 2].
std::vector<std::int64_t> taken(const std::string& arguments, std::int64_t count) {
  const Viewed viewed("tensor<fp16, [8, 2]> x",
                      "tensor<fp16, [" + std::to_string(count) + ", 2]> y = slice_by_index(x = x, " + arguments + ");");
  const auto axes = slice_geometry(viewed.op());
  REQUIRE(axes.size() == 2);
  std::vector<std::int64_t> indices;
  for (std::int64_t i = 0; i < axes[0].count; ++i) indices.push_back(axes[0].begin + i * axes[0].step);
  return indices;
}

std::string pair(const std::string& name, int first, int second) {
  return name + " = tensor<int32, [2]>([" + std::to_string(first) + ", " + std::to_string(second) + "])";
}

}  // namespace

TEST_CASE("pooling: padding and size, rounded down and up", "[mil]") {
  const auto pool = [](const std::string& more, std::int64_t out) {
    const Viewed viewed("tensor<fp16, [1, 2, 10]> x",
                        "tensor<fp16, [1, 2, " + std::to_string(out) +
                            "]> y = max_pool(x = x, kernel_sizes = tensor<int32, [1]>([3]), " + more + ");");
    const std::vector<ConvDimension> dimensions = pool_geometry(viewed.op());
    REQUIRE(dimensions.size() == 1);
    return dimensions[0];
  };
  const std::string by_three = "strides = tensor<int32, [1]>([3]), ";
  CHECK(pool("pad_type = string(\"valid\")", 8).pad_begin == 0);
  CHECK(pool(by_three + "pad_type = string(\"valid\")", 3).stride == 3);
  CHECK(pool(by_three + "pad_type = string(\"valid\"), ceil_mode = bool(true)", 4).out == 4);
  // With 10 elements, padding of 2 on either side and stride 3, a fifth window would begin at 10, after the last
  // element.
  const std::string padded = "pad_type = string(\"custom\"), pad = tensor<int32, [2]>([2, 2]), ceil_mode = bool(true)";
  CHECK(pool(by_three + padded, 4).pad_begin == 2);
  const ConvDimension same = pool(by_three + "pad_type = string(\"same_lower\")", 4);
  CHECK(same.pad_begin == 1);
  CHECK(same.pad_end == 1);
}

TEST_CASE("ranges are counted like in coremltools, in the element type", "[mil]") {
  const auto count = [](const std::string& type, const std::string& arguments, std::int64_t expected) {
    const Viewed viewed("tensor<fp16, [1]> x",
                        "tensor<" + type + ", [" + std::to_string(expected) + "]> y = range_1d(" + arguments + ");");
    return range_geometry(viewed.op()).count;
  };
  CHECK(count("int32", "start = int32(-3), end = int32(3), step = int32(4)", 2) == 2);
  CHECK(count("int32", "start = int32(3), end = int32(-3), step = int32(-2)", 3) == 3);
  CHECK(count("fp32", "start = fp32(0), end = fp32(1), step = fp32(0.25)", 4) == 4);
  // 0.1 in fp16 is 0.09998, and 1 / 0.09998 is 10.0024: 10 after rounding.
  CHECK(count("fp16", "start = fp16(0), end = fp16(1), step = fp16(0.1)", 10) == 10);
}

TEST_CASE("convolutions: padding, stride and size", "[mil]") {
  const ConvDimension valid = conv_dimension("", 7);
  CHECK(valid.pad_begin == 0);
  CHECK(valid.pad_end == 0);

  // 10 outputs cover 13 elements: 3 are padding, and the odd one is at the end (same) or beginning (same_lower).
  const ConvDimension same = conv_dimension(", pad_type = string(\"same\")", 10);
  CHECK(same.pad_begin == 1);
  CHECK(same.pad_end == 2);
  const ConvDimension lower = conv_dimension(", pad_type = string(\"same_lower\")", 10);
  CHECK(lower.pad_begin == 2);
  CHECK(lower.pad_end == 1);

  const ConvDimension strided = conv_dimension(", pad_type = string(\"same\"), strides = tensor<int32, [1]>([3])", 4);
  CHECK(strided.stride == 3);
  CHECK(strided.pad_begin == 1);
  CHECK(strided.pad_end == 2);

  const ConvDimension custom = conv_dimension(", pad_type = string(\"custom\"), pad = tensor<int32, [2]>([5, 1])", 13);
  CHECK(custom.pad_begin == 5);
  CHECK(custom.pad_end == 1);

  // With `valid`, a given pad is ignored.
  CHECK(conv_dimension(", pad = tensor<int32, [2]>([5, 1])", 7).pad_begin == 0);
}

TEST_CASE("slices by index follow numpy", "[mil]") {
  using Indices = std::vector<std::int64_t>;
  CHECK(taken(pair("begin", 1, 0) + ", " + pair("end", 4, 2), 3) == Indices{1, 2, 3});
  CHECK(taken(pair("begin", -3, 0) + ", " + pair("end", 100, 2), 3) == Indices{5, 6, 7});
  CHECK(taken(pair("begin", 0, 0) + ", " + pair("end", -1, 2) + ", " + pair("stride", 3, 1), 3) == Indices{0, 3, 6});
  CHECK(taken(pair("begin", 6, 0) + ", " + pair("end", 1, 2) + ", " + pair("stride", -2, 1), 3) == Indices{6, 4, 2});
  // With a negative stride, only a mask reaches the first element, because -1 means the last.
  CHECK(taken(pair("begin", 2, 0) + ", " + pair("end", 0, 2) + ", " + pair("stride", -1, 1) +
                  ", end_mask = tensor<bool, [2]>([true, false])",
              3) == Indices{2, 1, 0});
  CHECK(taken(pair("begin", 0, 0) + ", " + pair("end", 5, 2) + ", " + pair("stride", -1, 1) +
                  ", begin_mask = tensor<bool, [2]>([true, false])",
              2) == Indices{7, 6});
}

TEST_CASE("slices by size and squeezed axes", "[mil]") {
  const Viewed by_size("tensor<fp16, [8, 6]> x", "tensor<fp16, [2, 4]> y = slice_by_size(x = x, " +
                                                     pair("begin", 3, 2) + ", " + pair("size", 2, -1) + ");");
  const auto sized = slice_geometry(by_size.op());
  REQUIRE(sized.size() == 2);
  CHECK(sized[0].begin == 3);
  CHECK(sized[0].count == 2);
  CHECK(sized[1].begin == 2);
  CHECK(sized[1].count == 4);
  CHECK_FALSE(sized[1].squeezed);

  const Viewed squeezed("tensor<fp16, [8, 6]> x", "tensor<fp16, [6]> y = slice_by_index(x = x, " +
                                                      pair("begin", -2, 0) + ", " + pair("end", 0, 6) +
                                                      ", squeeze_mask = tensor<bool, [2]>([true, false]));");
  const auto axes = slice_geometry(squeezed.op());
  CHECK(axes[0].squeezed);
  CHECK(axes[0].begin == 6);
  CHECK(axes[0].count == 1);
}

TEST_CASE("pad counts from the last axis", "[mil]") {
  const Viewed viewed("tensor<fp16, [2, 3, 4]> x",
                      "tensor<fp16, [2, 6, 11]> y = pad(x = x, pad = tensor<int32, [4]>([1, 2, 3, 4]));");
  const auto axes = pad_geometry(viewed.op());
  REQUIRE(axes.size() == 3);
  CHECK(axes[0].before == 0);
  CHECK(axes[1].before == 1);
  CHECK(axes[1].after == 2);
  CHECK(axes[2].before == 3);
  CHECK(axes[2].after == 4);
}

TEST_CASE("axes are counted from the front and sorted, with MIL's defaults", "[mil]") {
  using Axes = std::vector<std::size_t>;
  const std::string x = "tensor<fp16, [2, 1, 4]> x";
  CHECK(axes_of(Viewed(x, "tensor<fp16, [1]> y = reduce_max(x = x, axes = tensor<int32, [2]>([-1, 0]));").op()) ==
        Axes{0, 2});
  CHECK(axes_of(Viewed(x, "fp16 y = reduce_max(x = x);").op()) == Axes{0, 1, 2});
  CHECK(axes_of(Viewed(x, "tensor<fp16, [2, 4]> y = squeeze(x = x);").op()) == Axes{1});
  CHECK(axis_of(Viewed(x, "tensor<fp16, [2, 1, 4]> y = softmax(x = x);").op()) == 2);
  CHECK(axis_of(Viewed(x, "tensor<fp16, [2, 1, 4, 1]> y = stack(values = (x), axis = int32(-1));").op()) == 3);
  CHECK(axis_of(Viewed(x + ", tensor<int32, [5]> i", "tensor<fp16, [5, 1, 4]> y = gather(x = x, indices = i);").op()) ==
        0);
}

}  // namespace ane::mil
