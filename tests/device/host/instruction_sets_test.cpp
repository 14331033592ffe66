// Differences between processors: the minimum with NaN, conversions out of range, rounding of ties and subnormals. Each
// case runs on every available instruction set.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "ane/math/half.h"

#include "harness.h"
#include "support/catch.h"
#include "support/targets.h"

namespace ane::device::host {
namespace {

using mil::Builder;
using mil::DType;
using mil::OpKind;
using mil::Var;
using test::on_every_target;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

reference::Tensor floats(mil::Shape shape, std::vector<double> values) {
  return {{DType::fp32, std::move(shape)}, std::move(values)};
}

reference::Tensor run_once(const mil::Program& program, const std::vector<reference::Tensor>& inputs) {
  math::ThreadPool pool(1);
  HostDevice device(pool);
  return run(device, program, {}, inputs).front();
}

bool same(double found, double expected) {
  if (std::isnan(expected)) return std::isnan(found);
  return found == expected && std::signbit(found) == std::signbit(expected);
}

/// `values` repeated, to fill vectors of every width and a tail.
std::vector<double> repeated(const std::vector<double>& values) {
  std::vector<double> result;
  while (result.size() < 67) result.push_back(values[result.size() % values.size()]);
  return result;
}

TEST_CASE("maximum and minimum of two are NaN if either operand is", "[device][host]") {
  const OpKind kind = GENERATE(OpKind::maximum, OpKind::minimum);
  CAPTURE(mil::name(kind));
  const std::vector<double> left = repeated({kNan, 1, kNan, 3, -kInfinity, kNan, kInfinity, -2});
  const std::vector<double> right = repeated({2, kNan, kNan, -3, kNan, kInfinity, 5, -kInfinity, 0});
  Builder b(DType::fp32);
  const auto count = static_cast<std::int64_t>(left.size());
  const Var x = b.input("a_in", {count});
  const Var y = b.input("b_in", {count});
  const Var out = b.binary(kind, "out", x, y);
  const mil::Program program = std::move(b).finish(std::vector{out});
  on_every_target([&] {
    const reference::Tensor found = run_once(program, {floats({count}, left), floats({count}, right)});
    for (std::size_t i = 0; i < left.size(); ++i) {
      CAPTURE(i, left[i], right[i]);
      const double expected = std::isnan(left[i]) || std::isnan(right[i]) ? kNan
                              : kind == OpKind::maximum                   ? std::max(left[i], right[i])
                                                                          : std::min(left[i], right[i]);
      CHECK(same(found.data[i], expected));
    }
  });
}

TEST_CASE("NaN is not equal to anything, and no other comparison with it is true", "[device][host]") {
  const OpKind kind = GENERATE(OpKind::equal, OpKind::not_equal, OpKind::less, OpKind::greater_equal);
  CAPTURE(mil::name(kind));
  const std::vector<double> left = repeated({kNan, 1, kNan});
  const std::vector<double> right = repeated({kNan, kNan, 2});
  Builder b(DType::fp32);
  const auto count = static_cast<std::int64_t>(left.size());
  const Var x = b.input("a_in", {count});
  const Var y = b.input("b_in", {count});
  const std::vector<mil::Argument> arguments{
      {"cond", {b.binary(kind, "holds", x, y).id}}, {"a", {b.scalar(1).id}}, {"b", {b.scalar(0).id}}};
  const std::vector<Var> selected = b.operation(OpKind::select, "out", arguments);
  const mil::Program program = std::move(b).finish(selected);
  on_every_target([&] {
    const reference::Tensor found = run_once(program, {floats({count}, left), floats({count}, right)});
    CHECK(std::ranges::count(found.data, kind == OpKind::not_equal ? 1.0 : 0.0) == count);
  });
}

TEST_CASE("a NaN anywhere in a row makes its maximum, minimum and softmax NaN", "[device][host]") {
  constexpr std::int64_t kColumns = 83;
  const std::string_view what = GENERATE("reduce_max", "reduce_min", "softmax");
  const std::int64_t axis = GENERATE(0, 1);
  CAPTURE(what, axis);
  // There is a NaN in row i, column i.
  reference::Tensor square = floats({kColumns, kColumns}, std::vector<double>(kColumns * kColumns));
  for (std::size_t i = 0; i < square.data.size(); ++i) {
    square.data[i] = i / kColumns == i % kColumns ? kNan : static_cast<double>(i % 11);
  }
  Builder b(DType::fp32);
  const Var x = b.input("x_in", {kColumns, kColumns});
  const Var out = what == "softmax"
                      ? b.softmax("out", x, static_cast<int>(axis))
                      : b.reduce(what == "reduce_max" ? OpKind::reduce_max : OpKind::reduce_min, "out", x, {axis});
  const mil::Program program = std::move(b).finish(std::vector{out});
  on_every_target([&] {
    const reference::Tensor found = run_once(program, {square});
    CHECK(std::ranges::all_of(found.data, [](double value) { return std::isnan(value); }));
  });
}

TEST_CASE("rounding to integers keeps NaN, infinity, large numbers and the sign of zero", "[device][host]") {
  const auto [kind, function] = GENERATE(table<OpKind, double (*)(double)>({
      {OpKind::floor, [](double x) { return std::floor(x); }},
      {OpKind::ceil, [](double x) { return std::ceil(x); }},
      {OpKind::round, [](double x) { return std::nearbyint(x); }},
  }));
  CAPTURE(mil::name(kind));
  const std::vector<double> values =
      repeated({0.0, -0.0, 0.5, -0.5, 1.5, -1.5, 2.5, -2.5, 0x1p-149, -0x1p-149, 4194303.5, 8388607.0, 16777216.0,
                0x1p31, -0x1p31, 0x1p100, kInfinity, -kInfinity, kNan});
  Builder b(DType::fp32);
  const auto count = static_cast<std::int64_t>(values.size());
  const Var out = b.unary(kind, "out", b.input("x_in", {count}));
  const mil::Program program = std::move(b).finish(std::vector{out});
  on_every_target([&, function = function] {
    const reference::Tensor found = run_once(program, {floats({count}, values)});
    for (std::size_t i = 0; i < values.size(); ++i) {
      CAPTURE(i, values[i], found.data[i]);
      CHECK(same(found.data[i], function(values[i])));
    }
  });
}

TEST_CASE("conversions to integers saturate, and NaN becomes 0", "[device][host]") {
  const auto [type, least, most] = GENERATE(table<std::string, double, double>({{"int8", -128, 127},
                                                                                {"uint8", 0, 255},
                                                                                {"int16", -32768, 32767},
                                                                                {"uint16", 0, 65535},
                                                                                {"int32", -0x1p31, 0x1p31 - 1}}));
  CAPTURE(type);
  const std::vector<double> values = repeated({0.99, -0.99, 127.5, -128.5, 1e5, -1e5, 0x1p31, -0x1p31, 0x1p33, -0x1p63,
                                               0x1p64, 1e30, kInfinity, -kInfinity, kNan});
  Builder b(DType::fp32);
  const auto count = static_cast<std::int64_t>(values.size());
  const Var x = b.input("x_in", {count});
  const Var out = b.operation(OpKind::cast, "out", {arg("x", x), arg("dtype", b.text("to", type))}).front();
  const Var wide = b.operation(OpKind::cast, "wide", {arg("x", out), arg("dtype", b.text("to32", "int32"))}).front();
  const mil::Program program = std::move(b).finish(std::vector{wide});
  on_every_target([&, least = least, most = most] {
    const reference::Tensor found = run_once(program, {floats({count}, values)});
    for (std::size_t i = 0; i < values.size(); ++i) {
      CAPTURE(i, values[i]);
      const double expected = std::isnan(values[i]) ? 0 : std::clamp(std::trunc(values[i]), least, most);
      CHECK(found.data[i] == expected);
    }
  });
}

TEST_CASE("a value rounded to fp16 has the bits of the scalar conversion", "[device][host]") {
  std::vector<double> values;
  // Halves, the ties between them and the adjacent floats of each, over the whole range including its ends.
  float magnitude = 0x1p-24F;
  while (magnitude < 0x1p17F) {
    const float below = math::to_float(math::to_half(magnitude));
    const float tie = below * (1 + 0x1p-11F);
    for (const float value : {below, tie, std::nextafter(tie, 0.0F), std::nextafter(tie, 1e30F)}) {
      values.push_back(static_cast<double>(value));
      values.push_back(-static_cast<double>(value));
    }
    magnitude *= 1.5F;
  }
  for (const double value :
       {0.0, -0.0, 0x1p-25, 0x1.8p-25, 0x1p-26, 0x1p-149, 65519.996, 65520.0, kInfinity, -kInfinity, kNan}) {
    values.push_back(value);
  }
  Builder b(DType::fp32);
  const auto count = static_cast<std::int64_t>(values.size());
  const Var x = b.input("x_in", {count});
  const Var half = b.operation(OpKind::cast, "half", {arg("x", x), arg("dtype", b.text("to", "fp16"))}).front();
  const Var out = b.operation(OpKind::cast, "out", {arg("x", half), arg("dtype", b.text("back", "fp32"))}).front();
  const mil::Program program = std::move(b).finish(std::vector{out});
  on_every_target([&] {
    const reference::Tensor found = run_once(program, {floats({count}, values)});
    for (std::size_t i = 0; i < values.size(); ++i) {
      CAPTURE(i, values[i], found.data[i]);
      CHECK(same(found.data[i], static_cast<double>(math::to_float(math::to_half(static_cast<float>(values[i]))))));
    }
  });
}

TEST_CASE("elementary functions handle infinity and overflow like C", "[device][host]") {
  const auto [kind, function] = GENERATE(table<OpKind, double (*)(double)>({
      {OpKind::exp, [](double x) { return std::exp(x); }},
      {OpKind::log, [](double x) { return std::log(x); }},
      {OpKind::sqrt, [](double x) { return std::sqrt(x); }},
      {OpKind::tanh, [](double x) { return std::tanh(x); }},
      {OpKind::sigmoid, [](double x) { return 1 / (1 + std::exp(-x)); }},
      {OpKind::softplus, [](double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }},
      {OpKind::relu, [](double x) { return x < 0 ? 0 : x; }},
      {OpKind::square, [](double x) { return x * x; }},
      {OpKind::sign, [](double x) { return x > 0   ? 1.0
                                           : x < 0 ? -1.0
                                                   : x; }},
  }));
  CAPTURE(mil::name(kind));
  // The functions' results are exact for all of these.
  const std::vector<double> values = repeated({kInfinity, -kInfinity, kNan, 0x1p120, -0x1p120});
  Builder b(DType::fp32);
  const auto count = static_cast<std::int64_t>(values.size());
  Var x = b.input("x_in", {count});
  const Var out = kind == OpKind::log ? b.operation(kind, "out", {arg("x", x), arg("epsilon", b.scalar(0))}).front()
                                      : b.unary(kind, "out", x);
  const mil::Program program = std::move(b).finish(std::vector{out});
  on_every_target([&, kind = kind, function = function] {
    const reference::Tensor found = run_once(program, {floats({count}, values)});
    for (std::size_t i = 0; i < values.size(); ++i) {
      CAPTURE(i, values[i], found.data[i]);
      const double expected = function(values[i]);
      if (kind == OpKind::log && std::isfinite(values[i]) && values[i] > 0) {
        CHECK(found.data[i] == Approx(expected));
      } else {
        CHECK(same(found.data[i], static_cast<double>(static_cast<float>(expected))));
      }
    }
  });
}

}  // namespace
}  // namespace ane::device::host
