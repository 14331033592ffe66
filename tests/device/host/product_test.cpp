#include <optional>

#include "harness.h"
#include "support/catch.h"

namespace ane::device::host {
namespace {

using mil::Builder;
using mil::DType;
using mil::OpKind;
using mil::Shape;
using mil::Var;

TEST_CASE("matmul of every rank, with both flags", "[device][host]") {
  const DType dtype = GENERATE(from_range(kFloats.begin(), kFloats.end()));
  const bool transpose_x = GENERATE(false, true);
  const bool transpose_y = GENERATE(false, true);
  const auto [batch_x, batch_y] = GENERATE(table<Shape, Shape>({
      {{}, {}},
      {{3}, {3}},
      {{1, 4}, {1, 4}},
      {{2, 3}, {1, 1}},
      {{1, 1}, {2, 3}},
      {{2, 1}, {3}},
      {{5}, {}},
  }));
  const auto [m, n, k] = GENERATE(table<std::int64_t, std::int64_t, std::int64_t>({{7, 5, 9}, {1, 6, 4}, {6, 1, 1}}));
  CAPTURE(transpose_x, transpose_y, batch_x, batch_y, m, n, k);
  Shape x = batch_x;
  Shape y = batch_y;
  x.insert(x.end(), {transpose_x ? k : m, transpose_x ? m : k});
  y.insert(y.end(), {transpose_y ? n : k, transpose_y ? k : n});
  Builder b(dtype);
  const Var left = b.input("a_in", {dtype, x});
  const Var right = b.input("b_in", {dtype, y});
  const Var out = b.matmul("out", left, right, transpose_x, transpose_y);
  check_against_reference(std::move(b).finish(std::vector{out}), 1, tolerance_of(dtype));
}

TEST_CASE("matmul with vectors", "[device][host]") {
  const auto [x, y] = GENERATE(table<Shape, Shape>({{{5}, {5}}, {{5}, {5, 3}}, {{4, 5}, {5}}, {{2, 4, 5}, {5}}}));
  CAPTURE(x, y);
  Builder b(DType::fp32);
  const Var left = b.input("a_in", {DType::fp32, x});
  const Var right = b.input("b_in", {DType::fp32, y});
  const Var out = b.matmul("out", left, right);
  check_against_reference(std::move(b).finish(std::vector{out}), 2, 1e-5);
}

TEST_CASE("matmul of integers is exact", "[device][host]") {
  Builder b(DType::fp16);
  const Var x = b.input("a_in", {DType::int32, {2, 4, 5}});
  const Var y = b.input("b_in", {DType::int32, {2, 3, 5}});
  const Var out = b.matmul("out", x, y, false, true);
  check_against_reference(std::move(b).finish(std::vector{out}), 3, 0);
}

TEST_CASE("matmul of views: heads split, transposed, sliced and strided", "[device][host]") {
  const DType dtype = GENERATE(from_range(kFloats.begin(), kFloats.end()));
  Builder b(dtype);
  const Var packed = b.input("packed", {dtype, {1, 48, 1, 32}});
  const auto heads = [&](const char* name, std::int64_t from) {
    const Var part = b.slice(name, packed, {0, from, 0, 0}, {1, 16, 1, 32});
    return b.transpose("t", b.reshape("r", part, {1, 4, 4, 32}), {0, 1, 3, 2});
  };
  const Var q = heads("q", 0);
  const Var k = heads("k", 16);
  const Var v = heads("v", 32);
  const Var scores = b.matmul("scores", q, k, false, true);
  const Var weights = b.softmax("weights", b.mul("scaled", scores, b.scalar(0.5F)));
  const Var mixed = b.matmul("mixed", weights, v);
  const Var back = b.reshape("back", b.transpose("turned", mixed, {0, 1, 3, 2}), {1, 16, 1, 32});
  const Var every_second =
      b.operation(OpKind::slice_by_index, "second",
                  {arg("x", q), arg("begin", b.integers("begin", {0, 0, 1, 0})),
                   arg("end", b.integers("end", {1, 4, 32, 4})), arg("stride", b.integers("stride", {1, 1, 2, 3}))})
          .front();
  const Var strided = b.matmul("strided", every_second, every_second, true, false);
  check_against_reference(std::move(b).finish(std::vector{back, scores, strided}), 4, 4 * tolerance_of(dtype));
}

/// [n, n]: (x M)[2i] = -x[2i+1], (x M)[2i+1] = 2 x[2i]; the last column is zero. With `spoilt`, one row has two nonzero
/// elements.
reference::Tensor turn_of_neighbours(DType dtype, std::int64_t n, bool spoilt) {
  const auto size = static_cast<std::size_t>(n);
  reference::Tensor matrix{{dtype, {n, n}}, std::vector<double>(size * size, 0.0)};
  for (std::size_t i = 0; i + 1 < size; i += 2) {
    matrix.data[(i + 1) * size + i] = -1;
    matrix.data[i * size + i + 1] = 2;
  }
  for (std::size_t i = 0; i < size; ++i) matrix.data[i * size + size - 1] = 0;
  if (spoilt) matrix.data[0] = matrix.data[3 * size] = matrix.data[3] = 0.5;
  return matrix;
}

TEST_CASE("a product with a constant that only selects rows or columns", "[device][host]") {
  const DType dtype = GENERATE(from_range(kFloats.begin(), kFloats.end()));
  const bool channels_first = GENERATE(false, true);
  const bool spoilt = GENERATE(false, true);
  const bool left = GENERATE(false, true);
  const std::int64_t positions = GENERATE(1, 40);
  CAPTURE(channels_first, spoilt, left, positions);
  constexpr std::int64_t kWidth = 8;
  const mil::Blobs blobs{{"turn", blob_file(turn_of_neighbours(dtype, kWidth, spoilt))}};
  Builder b(dtype);
  const Var in =
      b.input("x_in", {dtype, channels_first ? Shape{1, 3, kWidth, positions} : Shape{1, 3, positions, kWidth}});
  const Var turn = b.blob("turn", {1, 1, kWidth, kWidth}, "turn");
  const Var x = channels_first ? b.transpose("x", in, {0, 1, 3, 2}) : in;
  const Var out =
      left ? b.matmul("out", turn, b.sigmoid("gate", x), true, true) : b.matmul("out", b.sigmoid("gate", x), turn);
  const Var sum = b.add("sum", out, out);
  check_against_reference(std::move(b).finish(std::vector{sum}), 4, tolerance_of(dtype), blobs);
}

TEST_CASE("conv whose weight only selects channels", "[device][host]") {
  const DType dtype = GENERATE(from_range(kFloats.begin(), kFloats.end()));
  const std::int64_t n = GENERATE(8, 128);  // the rows of the larger one are split between two threads
  const mil::Blobs blobs{{"turn", blob_file(turn_of_neighbours(dtype, n, false))}};
  Builder b(dtype);
  const Var x = b.input("x_in", {dtype, {1, n, 1, 96}});
  const Var out = b.conv1x1("out", x, b.blob("weight", {n, n, 1, 1}, "turn"));
  const Var gate = b.sigmoid("gate", out);
  check_against_reference(std::move(b).finish(std::vector{gate}), 5, tolerance_of(dtype), blobs);
}

TEST_CASE("linear", "[device][host]") {
  const DType dtype = GENERATE(from_range(kFloats.begin(), kFloats.end()));
  const bool bias = GENERATE(true, false);
  const Shape shape = GENERATE(Shape{6}, Shape{3, 6}, Shape{2, 3, 6});
  std::mt19937 random(5);
  const mil::Blobs blobs{{"w", blob_file(random_tensor({dtype, {4, 6}}, random))},
                         {"b", blob_file(random_tensor({dtype, {4}}, random))}};
  Builder b(dtype);
  const Var x = b.input("x_in", {dtype, shape});
  std::vector<mil::Argument> arguments{arg("x", x), arg("weight", b.blob("weight", {4, 6}, "w"))};
  if (bias) arguments.push_back(arg("bias", b.blob("bias", {4}, "b")));
  const Var out = b.operation(OpKind::linear, "out", arguments).front();
  check_against_reference(std::move(b).finish(std::vector{out}), 5, tolerance_of(dtype), blobs);
}

struct ConvCase {
  Shape x;
  Shape weight;
  std::vector<std::int64_t> strides;
  std::string pad_type;
  std::vector<std::int64_t> pad;
  std::vector<std::int64_t> dilations;
  std::int64_t groups;
};

TEST_CASE("conv of every kernel, stride, padding, dilation and grouping", "[device][host]") {
  const DType dtype = GENERATE(from_range(kFloats.begin(), kFloats.end()));
  const bool bias = GENERATE(false, true);
  const ConvCase c =
      GENERATE(ConvCase{{1, 6, 1, 32}, {8, 6, 1, 1}, {1, 1}, "valid", {0, 0, 0, 0}, {1, 1}, 1},
               ConvCase{{2, 6, 1, 5}, {8, 6, 1, 1}, {1, 1}, "valid", {0, 0, 0, 0}, {1, 1}, 1},
               ConvCase{{2, 6, 3, 5}, {9, 2, 1, 1}, {1, 1}, "valid", {0, 0, 0, 0}, {1, 1}, 3},
               ConvCase{{1, 4, 7, 9}, {6, 4, 3, 3}, {1, 1}, "same", {0, 0, 0, 0}, {1, 1}, 1},
               ConvCase{{1, 4, 8, 9}, {6, 4, 2, 3}, {2, 2}, "same_lower", {0, 0, 0, 0}, {1, 1}, 1},
               ConvCase{{1, 4, 7, 9}, {4, 1, 3, 3}, {2, 1}, "custom", {1, 2, 0, 3}, {1, 2}, 4},
               ConvCase{{2, 4, 11}, {6, 2, 4}, {3}, "custom", {2, 1}, {2}, 2},
               ConvCase{{1, 2, 4, 5, 6}, {3, 2, 2, 2, 3}, {1, 2, 1}, "same", {0, 0, 0, 0, 0, 0}, {1, 1, 1}, 1},
               ConvCase{{1, 6, 4, 8}, {8, 6, 1, 1}, {2, 3}, "valid", {0, 0, 0, 0}, {1, 1}, 1});
  CAPTURE(c.x, c.weight, c.pad_type, c.groups, bias);
  std::mt19937 random(6);
  const mil::Blobs blobs{{"w", blob_file(random_tensor({dtype, c.weight}, random))},
                         {"b", blob_file(random_tensor({dtype, {c.weight[0]}}, random))}};
  Builder b(dtype);
  const Var x = b.input("x_in", {dtype, c.x});
  std::vector<mil::Argument> arguments{arg("x", x),
                                       arg("weight", b.blob("weight", c.weight, "w")),
                                       arg("strides", b.integers("strides", c.strides)),
                                       arg("pad_type", b.text("pad_type", c.pad_type)),
                                       arg("pad", b.integers("pad", c.pad)),
                                       arg("dilations", b.integers("dilations", c.dilations)),
                                       arg("groups", b.integer("groups", c.groups))};
  if (bias) arguments.push_back(arg("bias", b.blob("bias", {c.weight[0]}, "b")));
  const Var out = b.operation(OpKind::conv, "out", arguments).front();
  check_against_reference(std::move(b).finish(std::vector{out}), 6, tolerance_of(dtype), blobs);
}

TEST_CASE("conv with a weight computed at run time", "[device][host]") {
  const DType dtype = GENERATE(from_range(kFloats.begin(), kFloats.end()));
  Builder b(dtype);
  const Var x = b.input("a_in", {dtype, {1, 6, 1, 32}});
  const Var w = b.input("b_in", {dtype, {1, 6, 1, 8}});
  const Var weight = b.reshape("weight", b.transpose("turned", w, {3, 1, 0, 2}), {8, 6, 1, 1});
  const Var out = b.conv1x1("out", x, weight);
  check_against_reference(std::move(b).finish(std::vector{out}), 7, tolerance_of(dtype));
}

TEST_CASE("scaled dot product attention, with and without mask", "[device][host]") {
  const DType dtype = GENERATE(from_range(kFloats.begin(), kFloats.end()));
  const std::optional<DType> mask = GENERATE(std::optional<DType>(), DType::boolean, DType::fp32);
  Builder b(dtype);
  const Var q = b.input("q_in", {dtype, {1, 3, 9, 4}});
  const Var k = b.input("k_in", {dtype, {1, 3, 7, 4}});
  const Var v = b.input("v_in", {dtype, {1, 3, 7, 5}});
  std::vector<mil::Argument> arguments{arg("query", q), arg("key", k), arg("value", v)};
  if (mask) {
    Var m = b.input("z_mask", {*mask == DType::boolean ? DType::boolean : dtype, {1, 1, 9, 7}});
    if (*mask == DType::boolean) {  // the first key is always visible: a fully masked row gives NaN
      reference::Tensor first{{DType::boolean, {7}}, {1, 0, 0, 0, 0, 0, 0}};
      const Var seen = b.constant("seen", {first.type, std::vector<std::int64_t>{1, 0, 0, 0, 0, 0, 0}});
      m = b.operation(OpKind::select, "mask", {arg("cond", seen), arg("a", seen), arg("b", m)}).front();
    }
    arguments.push_back(arg("attn_mask", m));
  }
  const Var out = b.operation(OpKind::scaled_dot_product_attention, "out", arguments).front();
  check_against_reference(std::move(b).finish(std::vector{out}), 8, tolerance_of(dtype));
}

}  // namespace
}  // namespace ane::device::host
