#include <cmath>
#include <limits>

#include "harness.h"
#include "support/catch.h"

namespace ane::device::host {
namespace {

using mil::Builder;
using mil::DType;
using mil::OpKind;
using mil::Shape;
using mil::Var;

TEST_CASE("binary operations broadcast as in numpy", "[device][host]") {
  const DType dtype = GENERATE(from_range(kFloats.begin(), kFloats.end()));
  const OpKind kind = GENERATE(OpKind::add, OpKind::sub, OpKind::mul, OpKind::real_div, OpKind::maximum,
                               OpKind::minimum, OpKind::greater, OpKind::greater_equal, OpKind::less,
                               OpKind::less_equal, OpKind::equal, OpKind::not_equal);
  const auto [left, right] = GENERATE(table<Shape, Shape>({
      {{1, 5, 1, 33}, {1, 5, 1, 33}},
      {{4, 7, 3}, {7, 1}},
      {{4, 7, 3}, {3}},
      {{2, 1, 40}, {2, 3, 1}},
      {{}, {2, 5}},
      {{1, 3, 1, 2049}, {1, 1, 1, 2049}},
      {{1, 70, 1, 64}, {1, 70, 1, 1}},
  }));
  CAPTURE(mil::name(kind), left, right);
  Builder b(dtype);
  const Var x = b.input("a_in", {dtype, left});
  const Var y = b.input("b_in", {dtype, right});
  const Var out = b.binary(kind, "out", x, y);
  check_against_reference(std::move(b).finish(std::vector{out}), 1, tolerance_of(dtype));
}

TEST_CASE("floor_div and mod round down, by positive and negative numbers", "[device][host]") {
  const DType dtype = GENERATE(DType::fp16, DType::fp32, DType::int32);
  const OpKind kind = GENERATE(OpKind::floor_div, OpKind::mod);
  CAPTURE(mil::name(dtype), mil::name(kind));
  const bool real = mil::is_float(dtype);
  Builder b(real ? dtype : DType::fp32);
  const Var x = b.input("x_in", {dtype, {3, 345}});
  // Integers are 0 to 3: less 2, they have both signs.
  const Var minus_two = real ? b.scalar(-2.0F) : b.integer("minus_two", -2);
  std::vector<Var> outputs;
  for (const double divisor : {2.0, -3.0, 0.375, -0.7}) {
    const auto whole = static_cast<std::int64_t>(divisor * 8);
    const Var y = real ? b.scalar(static_cast<float>(divisor)) : b.integer("by", whole);
    outputs.push_back(b.binary(kind, "out", b.add("shifted", x, minus_two), y));
  }
  check_against_reference(std::move(b).finish(outputs), 5, real ? tolerance_of(dtype) : 0, {}, 3);
}

TEST_CASE("floor_div and mod in rounding and zero cases", "[device][host]") {
  const double inf = std::numeric_limits<double>::infinity();
  const auto results = [](DType dtype, const std::vector<double>& x, const std::vector<double>& y) {
    Builder b(DType::fp32);
    const auto size = static_cast<std::int64_t>(x.size());
    const Var left = b.input("x_in", {dtype, {size}});
    const Var right = b.input("y_in", {dtype, {size}});
    const std::vector<Var> outputs{b.binary(OpKind::floor_div, "quotient", left, right),
                                   b.binary(OpKind::mod, "rest", left, right)};
    math::ThreadPool pool(1);
    HostDevice device(pool);
    return run(device, std::move(b).finish(outputs), {}, {{{dtype, {size}}, x}, {{dtype, {size}}, y}});
  };
  // 1 / 0.1 is 10 in fp32, but 0.1 is more than a tenth. As in numpy, except for the sign of 0.
  const auto real =
      results(DType::fp32, {1, -1, 7, -7, 1, -1, 5}, {static_cast<double>(0.1F), 0.25, -2, 2, inf, inf, 0});
  CHECK(real[0].data == std::vector<double>{9, -4, -4, -4, 0, -1, inf});
  CHECK(real[1].data[2] == -1);
  CHECK(real[1].data[3] == 1);
  CHECK(std::isnan(real[1].data[6]));
  const auto whole = results(DType::int32, {7, -7, 7, -7, -2147483648.0, 5, 0}, {2, 2, -2, -2, -1, 0, 0});
  CHECK(whole[0].data == std::vector<double>{3, -4, -4, 3, -2147483648.0, 0, 0});
  CHECK(whole[1].data == std::vector<double>{1, 1, -1, -1, 0, 0, 0});
}

TEST_CASE("operations on bools broadcast", "[device][host]") {
  const OpKind kind = GENERATE(OpKind::logical_and, OpKind::logical_or, OpKind::logical_xor);
  CAPTURE(mil::name(kind));
  Builder b(DType::fp16);
  const Var x = b.input("x_in", {DType::boolean, {4, 1, 70}});
  const Var y = b.input("y_in", {DType::boolean, {3, 1}});
  const Var z = b.input("z_in", {70});
  const Var out = b.binary(kind, "out", x, y);
  const Var more = b.binary(kind, "more", out, b.binary(OpKind::less, "compared", z, b.scalar(0)));
  check_against_reference(std::move(b).finish(std::vector{out, more}), 6, 0);
}

TEST_CASE("unary operations agree with C's within one unit of fp16 or a few of fp32", "[device][host]") {
  const DType dtype = GENERATE(from_range(kFloats.begin(), kFloats.end()));
  const OpKind kind = GENERATE(OpKind::abs, OpKind::sign, OpKind::floor, OpKind::ceil, OpKind::round, OpKind::exp,
                               OpKind::square, OpKind::sin, OpKind::cos, OpKind::tanh, OpKind::erf, OpKind::sigmoid,
                               OpKind::relu, OpKind::silu, OpKind::gelu, OpKind::softplus);
  const double scale = GENERATE(0.01, 1.0, 5.0);
  CAPTURE(mil::name(kind), scale);
  Builder b(dtype);
  const Var x = b.input("x_in", {dtype, {3, 345}});
  const Var out = b.unary(kind, "out", x);
  check_against_reference(std::move(b).finish(std::vector{out}), 2, tolerance_of(dtype), {}, scale);
}

TEST_CASE("operations on positive numbers", "[device][host]") {
  const DType dtype = GENERATE(from_range(kFloats.begin(), kFloats.end()));
  const OpKind kind = GENERATE(OpKind::log, OpKind::sqrt, OpKind::rsqrt, OpKind::inverse);
  const bool with_epsilon = GENERATE(true, false);
  CAPTURE(mil::name(kind), with_epsilon);
  Builder b(dtype);
  const Var x = b.input("x_in", {dtype, {3, 345}});
  const Var positive = b.add("positive", b.unary(OpKind::abs, "magnitude", x), b.scalar(0.125F));
  std::vector<mil::Argument> arguments{arg("x", positive)};
  if (with_epsilon && kind != OpKind::sqrt) arguments.push_back(arg("epsilon", b.scalar(0.25F)));
  const Var out = b.operation(kind, "out", arguments).front();
  check_against_reference(std::move(b).finish(std::vector{out}), 3, tolerance_of(dtype));
}

TEST_CASE("operations with parameters", "[device][host]") {
  const DType dtype = GENERATE(from_range(kFloats.begin(), kFloats.end()));
  Builder b(dtype);
  const Var x = b.input("x_in", {dtype, {1, 37, 1, 65}});
  std::vector<Var> outputs;
  outputs.push_back(
      b.operation(OpKind::clip, "clipped", {arg("x", x), arg("alpha", b.scalar(-0.5F)), arg("beta", b.scalar(0.75F))})
          .front());
  outputs.push_back(b.operation(OpKind::leaky_relu, "leaky", {arg("x", x), arg("alpha", b.scalar(0.125F))}).front());
  for (const char* mode : {"EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION"}) {
    outputs.push_back(b.operation(OpKind::gelu, mode, {arg("x", x), arg("mode", b.text("mode", mode))}).front());
  }
  const Var magnitude = b.unary(OpKind::abs, "magnitude", x);
  outputs.push_back(b.binary(OpKind::pow, "root", magnitude, b.scalar(0.5F)));
  const Var positive = b.binary(OpKind::greater, "positive", x, b.scalar(0.0F));
  outputs.push_back(
      b.operation(OpKind::select, "selected", {arg("cond", positive), arg("a", magnitude), arg("b", b.scalar(-3.0F))})
          .front());
  outputs.push_back(b.unary(OpKind::logical_not, "negative", positive));
  check_against_reference(std::move(b).finish(outputs), 4, tolerance_of(dtype));
}

TEST_CASE("casts convert, round and truncate", "[device][host]") {
  const DType from = GENERATE(DType::fp16, DType::fp32, DType::int32, DType::boolean, DType::int8, DType::uint8,
                              DType::int16, DType::uint16);
  const char* const to = GENERATE("fp16", "fp32", "int32", "bool", "int8", "int16");
  CAPTURE(mil::name(from), to);
  Builder b(DType::fp16);
  const Var x = b.input("x_in", {from, {3, 67}});
  const Var out = b.operation(OpKind::cast, "out", {arg("x", x), arg("dtype", b.text("dtype", to))}).front();
  check_against_reference(std::move(b).finish(std::vector{out}), 5, 0, {}, 20);
}

TEST_CASE("casts to integers saturate", "[device][host]") {
  Builder b(DType::fp32);
  const Var x = b.input("x_in", {4});
  const Var bytes = b.operation(OpKind::cast, "bytes", {arg("x", x), arg("dtype", b.text("to", "int8"))}).front();
  const Var words = b.operation(OpKind::cast, "words", {arg("x", x), arg("dtype", b.text("to32", "int32"))}).front();
  math::ThreadPool pool(1);
  HostDevice device(pool);
  const reference::Tensor values{{DType::fp32, {4}},
                                 {300.7, -1e20, std::numeric_limits<double>::quiet_NaN(), 2147483648.0}};
  const auto found = run(device, std::move(b).finish(std::vector{bytes, words}), {}, {values});
  CHECK(found[0].data == std::vector<double>{127, -128, 0, 127});
  CHECK(found[1].data == std::vector<double>{300, -2147483648.0, 0, 2147483647.0});
}

TEST_CASE("integers are exact", "[device][host]") {
  const OpKind kind = GENERATE(OpKind::add, OpKind::sub, OpKind::mul, OpKind::less, OpKind::equal);
  Builder b(DType::fp16);
  const Var x = b.input("x_in", {DType::int32, {5, 9}});
  const Var y = b.input("y_in", {DType::int32, {9}});
  const Var large = b.constant("large", {{DType::int32, {}}, std::vector<std::int64_t>{123456789}});
  const Var out = b.binary(kind, "out", b.binary(OpKind::add, "sum", x, large), y);
  check_against_reference(std::move(b).finish(std::vector{out}), 6, 0);
}

TEST_CASE("each operation of a chain is rounded to fp16", "[device][host]") {
  Builder b(DType::fp16);
  const Var x = b.input("x_in", {1, 8, 1, 512});
  const Var y = b.input("y_in", {1, 8, 1, 512});
  Var v = b.mul("p0", x, y);
  for (int i = 0; i < 6; ++i) {
    v = b.sub("s", b.mul("p", v, x), y);
  }
  // Products and differences of fp16 numbers are exact in fp32 or correctly rounded twice without harm, so every
  // element must be equal.
  check_against_reference(std::move(b).finish(std::vector{v}), 7, 0, {}, 0.5);
}

TEST_CASE("NaN and infinity propagate", "[device][host]") {
  const OpKind kind = GENERATE(OpKind::relu, OpKind::exp, OpKind::sigmoid, OpKind::tanh, OpKind::silu, OpKind::abs,
                               OpKind::sqrt, OpKind::softplus, OpKind::square);
  CAPTURE(mil::name(kind));
  const double inf = std::numeric_limits<double>::infinity();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  Builder b(DType::fp32);
  const Var x = b.input("x_in", {37});
  const Var unary = b.unary(kind, "out", x);
  const auto program = std::move(b).finish(std::vector{unary});
  reference::Tensor values{{DType::fp32, {37}}, std::vector<double>(37, 1.0)};
  values.data[0] = values.data[36] = nan;
  values.data[1] = inf;
  math::ThreadPool pool(1);
  HostDevice device(pool);
  const auto expected = reference::interpret(program.main(), {}, {values});
  const auto found = run(device, program, {}, {values});
  CHECK(std::isnan(found[0].data[0]));
  CHECK(std::isnan(found[0].data[36]));
  CHECK(found[0].data[1] == expected[0].data[1]);
  CHECK(found[0].data[2] == Approx(expected[0].data[2]));
}

TEST_CASE("fp16 overflows to infinity and keeps subnormals", "[device][host]") {
  Builder b(DType::fp16);
  const Var x = b.input("x_in", {5});
  const Var y = b.input("y_in", {5});
  const Var product = b.mul("out", x, y);
  const auto program = std::move(b).finish(std::vector{product});
  math::ThreadPool pool(1);
  HostDevice device(pool);
  const reference::Tensor left{{DType::fp16, {5}}, {65504, -65504, 0x1p-14, 0x1p-14, -0x1p-24}};
  const reference::Tensor right{{DType::fp16, {5}}, {1.5, 2, 0x1p-5, 0x1.8p-10, 0.25}};
  const auto found = run(device, program, {}, {left, right});
  const double inf = std::numeric_limits<double>::infinity();
  // 1.5 * 2^-24 is a tie between one and two units: even wins.
  CHECK(found[0].data == std::vector<double>{inf, -inf, 0x1p-19, 0x1p-23, 0});
}

TEST_CASE("long chains are split into groups and give the same result", "[device][host]") {
  Builder b(DType::fp32);
  const Var x = b.input("x_in", {1, 4, 1, 700});
  std::vector<Var> sums{x};
  for (int i = 0; i < 120; ++i) sums.push_back(b.add("s", b.mul("m", sums.back(), b.scalar(0.5F)), x));
  check_against_reference(std::move(b).finish(std::vector{sums.back(), sums[60]}), 8, 1e-5);
}

TEST_CASE("thousands of operations with shared operands are planned in reasonable time", "[device][host]") {
  Builder b(DType::fp32);
  const Var x = b.input("x_in", {1, 4, 1, 32});
  Var v = x;
  // Each value is used twice, so a search along both paths would never end.
  for (int i = 0; i < 3000; ++i) v = b.mul("h", b.add("s", v, v), b.scalar(0.5F));
  const Var out = b.reduce(OpKind::reduce_sum, "out", v, {1});
  check_against_reference(std::move(b).finish(std::vector{out}), 9, 1e-5);
}

}  // namespace
}  // namespace ane::device::host
