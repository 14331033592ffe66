#include <cmath>
#include <cstddef>
#include <limits>

#include "harness.h"
#include "support/catch.h"
#include "support/sanitized.h"

namespace ane::device::host {
namespace {

using mil::Builder;
using mil::DType;
using mil::OpKind;
using mil::Shape;
using mil::Var;

constexpr float kInfiniteFloat = std::numeric_limits<float>::infinity();

TEST_CASE("reductions over any axes", "[device][host]") {
  const DType dtype = GENERATE(from_range(kFloats.begin(), kFloats.end()));
  const OpKind kind = GENERATE(OpKind::reduce_sum, OpKind::reduce_mean, OpKind::reduce_max, OpKind::reduce_min,
                               OpKind::reduce_sum_square, OpKind::reduce_l2_norm);
  const auto axes =
      GENERATE(std::vector<std::int64_t>{-1}, std::vector<std::int64_t>{1}, std::vector<std::int64_t>{0, 2},
               std::vector<std::int64_t>{1, 3}, std::vector<std::int64_t>{0, 1, 2, 3}, std::vector<std::int64_t>{2});
  const bool keep = GENERATE(true, false);
  CAPTURE(mil::name(kind), axes, keep);
  Builder b(dtype);
  const Var x = b.input("x_in", {dtype, {2, 5, 3, 37}});
  const Var out = b.reduce(kind, "out", x, axes, keep);
  check_against_reference(std::move(b).finish(std::vector{out}), 1, tolerance_of(dtype));
}

TEST_CASE("reductions of transposed and sliced views", "[device][host]") {
  const DType dtype = GENERATE(from_range(kFloats.begin(), kFloats.end()));
  const auto axes = GENERATE(std::vector<std::int64_t>{-1}, std::vector<std::int64_t>{0}, std::vector<std::int64_t>{1});
  Builder b(dtype);
  const Var x = b.input("x_in", {dtype, {600, 6, 40}});
  const Var y = b.add("y", x, x);
  const Var view = b.slice("part", b.transpose("turned", y, {2, 0, 1}), {3, 1, 0}, {30, 513, 5});
  const Var total = b.reduce(OpKind::reduce_sum, "total", view, axes, true);
  const Var most = b.reduce(OpKind::reduce_max, "most", view, axes, true);
  check_against_reference(std::move(b).finish(std::vector{total, most}), 2, tolerance_of(dtype));
}

TEST_CASE("softmax over any axis", "[device][host]") {
  const DType dtype = GENERATE(from_range(kFloats.begin(), kFloats.end()));
  const int axis = GENERATE(-1, 0, 1, 2);
  const Shape shape = GENERATE(Shape{2, 5, 3, 37}, Shape{1, kSanitized ? 5 : 33, 1, 600}, Shape{3, 1, 4, 1});
  const double scale = GENERATE(1.0, 30.0);
  CAPTURE(axis, shape, scale);
  Builder b(dtype);
  const Var x = b.input("x_in", {dtype, shape});
  const Var out = b.softmax("out", x, axis);
  check_against_reference(std::move(b).finish(std::vector{out}), 3, tolerance_of(dtype), {}, scale);
}

TEST_CASE("softmax of a view with no packed dimension", "[device][host]") {
  Builder b(DType::fp32);
  const Var x = b.input("x_in", {6, 8, 10});
  const Var view =
      b.operation(OpKind::slice_by_index, "view",
                  {arg("x", x), arg("begin", b.integers("begin", {0, 7, 9})), arg("end", b.integers("end", {6, 0, 0})),
                   arg("stride", b.integers("stride", {2, -1, -2}))})
          .front();
  const Var rows = b.softmax("rows", view, -1);
  const Var planes = b.softmax("planes", view, 0);
  check_against_reference(std::move(b).finish(std::vector{rows, planes}), 4, 1e-5);
}

TEST_CASE("softmax of rows that end far below their maximum", "[device][host]") {
  const DType dtype = GENERATE(from_range(kFloats.begin(), kFloats.end()));
  const std::int64_t n = GENERATE(1, 15, 16, 17, 64, 100);
  CAPTURE(n);
  std::vector<float> mask;
  for (std::int64_t row = 0; row < n; ++row)
    for (std::int64_t column = 0; column < n; ++column) mask.push_back(column > row ? -1e4F : 0.0F);
  Builder b(dtype);
  const Var x = b.input("x_in", {dtype, {3, n, n}});
  const Var masked = b.add("masked", x, b.constant("mask", {{dtype, {n, n}}, mask}));
  // There may be relevant elements after a masked part; the only relevant key may be the last.
  const Var turned = b.slice("turned", masked, {0, n - 1, 0}, {3, 1, n});
  const Var rows = b.softmax("rows", masked, -1);
  const Var columns = b.softmax("columns", masked, -2);
  const Var last = b.softmax("last", turned, -1);
  check_against_reference(std::move(b).finish(std::vector{rows, columns, last}), 6, tolerance_of(dtype));
}

TEST_CASE("softmax of a row without a finite maximum is NaN", "[device][host]") {
  constexpr std::int64_t kColumns = 20;
  const float odd = GENERATE(as<float>(), kInfiniteFloat, -kInfiniteFloat, std::numeric_limits<float>::quiet_NaN());
  CAPTURE(odd);
  reference::Tensor x{{DType::fp32, {4, kColumns}}, std::vector<double>(4 * kColumns, 1.0)};
  for (std::int64_t column = 0; column < kColumns; ++column) x.data[static_cast<std::size_t>(kColumns + column)] = odd;
  x.data[2 * kColumns + 18] = -static_cast<double>(kInfiniteFloat);
  x.data[3 * kColumns] = odd;  // all later elements are infinitely far below
  Builder b(DType::fp32);
  const Var in = b.input("x_in", x.type);
  const Var softmax = b.softmax("out", in, -1);
  const mil::Program program = std::move(b).finish(std::vector{softmax});
  math::ThreadPool threads(1);
  HostDevice device(threads);
  const reference::Tensor out = run(device, program, {}, {x}).front();
  for (std::size_t column = 0; column < kColumns; ++column) {
    CHECK(out.data[column] == Approx(1.0 / kColumns));
    CHECK(std::isnan(out.data[kColumns + column]));
    CHECK(out.data[2 * kColumns + column] == Approx(column == 18 ? 0 : 1.0 / (kColumns - 1)));
    if (odd < 0)
      CHECK(out.data[3 * kColumns + column] == Approx(column == 0 ? 0 : 1.0 / (kColumns - 1)));
    else
      CHECK(std::isnan(out.data[3 * kColumns + column]));
  }
}

TEST_CASE("layer_norm over any axes", "[device][host]") {
  const DType dtype = GENERATE(from_range(kFloats.begin(), kFloats.end()));
  const auto axes =
      GENERATE(std::vector<std::int64_t>{-1}, std::vector<std::int64_t>{1}, std::vector<std::int64_t>{1, 2});
  const int parts = GENERATE(0, 1, 2);
  const Shape shape{2, 7, 33};
  Shape inner;
  for (const std::int64_t axis : axes) inner.push_back(shape[static_cast<std::size_t>(axis < 0 ? axis + 3 : axis)]);
  CAPTURE(axes, parts);
  std::mt19937 random(5);
  const mil::Blobs blobs{{"g", blob_file(random_tensor({dtype, inner}, random))},
                         {"b", blob_file(random_tensor({dtype, inner}, random))}};
  Builder b(dtype);
  const Var x = b.input("x_in", {dtype, shape});
  std::vector<mil::Argument> arguments{arg("x", x), arg("axes", b.integers("axes", axes))};
  if (parts > 0) arguments.push_back(arg("gamma", b.blob("gamma", inner, "g")));
  if (parts > 1) arguments.push_back(arg("beta", b.blob("beta", inner, "b")));
  const Var out = b.operation(OpKind::layer_norm, "out", arguments).front();
  check_against_reference(std::move(b).finish(std::vector{out}), 5, tolerance_of(dtype), blobs);
}

}  // namespace
}  // namespace ane::device::host
