#include <string>

#include <fmt/format.h>

#include "ane/mil/text.h"

#include "harness.h"
#include "plan_memory.h"
#include "support/catch.h"
#include "support/sanitized.h"

/// Hostile programs: degenerate, very long, or small with huge numbers.
namespace ane::device::host {
namespace {

using mil::Builder;
using mil::DType;
using mil::OpKind;
using mil::Shape;
using mil::Var;

mil::Constant numbers(DType dtype, const Shape& shape) {
  std::vector<float> data;
  for (std::int64_t i = 0; i < mil::element_count(shape); ++i) data.push_back(static_cast<float>(i % 7) - 3);
  return {{dtype, shape}, data};
}

TEST_CASE("one element is tiled exactly as often as requested", "[device][host]") {
  const DType dtype = GENERATE(DType::fp16, DType::fp32);
  const std::int64_t times = GENERATE(2, 3, 63, 64, 65, 1023, 1024, 1025, 2048);
  CAPTURE(mil::name(dtype), times);
  Builder b(dtype);
  const Var x = b.input("x", {dtype, {1}});
  const Var tiled = b.operation(OpKind::tile, "tiled", {arg("x", x), arg("reps", b.integers("reps", {times}))}).front();
  const Var last = b.slice("last", tiled, {times - 1}, {1});
  const Var sum = b.add("sum", last, last);
  const Var beside = b.operation(OpKind::pad, "beside", {arg("x", sum), arg("pad", b.integers("by", {3, 0}))}).front();
  check_against_reference(std::move(b).finish(std::vector{tiled, beside}), 1, 0);
}

TEST_CASE("constants that are only parts of outputs are written", "[device][host]") {
  const DType dtype = GENERATE(DType::fp16, DType::fp32, DType::int32);
  Builder b(DType::fp32);
  const Var x = b.input("x", {dtype, {2, 3}});
  const mil::Constant elements = dtype == DType::int32
                                     ? mil::Constant{{dtype, {2, 3}}, std::vector<std::int64_t>{1, 2, 3, 4, 5, 6}}
                                     : numbers(dtype, {2, 3});
  const Var known = b.constant("known", elements);
  const Var turned = b.transpose("turned", known, {1, 0});
  const Var joined = b.concat("joined", std::vector{x, known, x}, 1);
  const Var stacked =
      b.operation(OpKind::stack, "stacked", {arg("values", std::vector{known, x}), arg("axis", b.integer("at", 0))})
          .front();
  const Var nested = b.concat("nested", std::vector{b.concat("inner", std::vector{known, x}, 0), x}, 0);
  const Var alone = b.concat("alone", std::vector{turned, turned}, 0);
  const Var flat = b.reshape("flat", b.concat("seen", std::vector{x, known}, 0), {12});
  check_against_reference(std::move(b).finish(std::vector{joined, stacked, nested, alone, flat}), 1, 0);
}

/// A program of fp16 [4] values x and y = `operations` of x.
std::string text_of(const std::string& operations, const std::string& output) {
  return fmt::format("program(1.3) {{ func main<ios18>(tensor<fp16, [4]> x) {{\n{}}} -> ({}); }}", operations, output);
}

void check_doubles(const std::string& text, const std::string& program) {
  INFO(program);
  math::ThreadPool threads(1);
  HostDevice device(threads);
  const reference::Tensor x{{DType::fp16, {4}}, {1, -2, 3, 0.5}};
  const std::vector<reference::Tensor> found = run(device, mil::parse(text), {}, {x});
  REQUIRE(found.front().data.size() >= 4);
  CHECK(std::vector<double>(found.front().data.begin(), found.front().data.begin() + 4) ==
        std::vector<double>{2, -4, 6, 1});
}

TEST_CASE("long chains take no stack and no quadratic time", "[device][host]") {
  constexpr int kLength = kSanitized ? 12000 : 60000;
  const std::string doubled = "tensor<fp16, [4]> v0 = add(x = x, y = x);\n";
  std::string views = doubled;
  for (int i = 1; i < kLength; ++i) views += fmt::format("tensor<fp16, [4]> v{} = identity(x = v{});\n", i, i - 1);
  check_doubles(text_of(views, fmt::format("v{}", kLength - 1)), "views");

  std::string sums = doubled;
  for (int i = 1; i < kLength; ++i)
    sums += fmt::format("tensor<fp16, [4]> v{} = add(x = v{}, y = fp16(0));\n", i, i - 1);
  check_doubles(text_of(sums, fmt::format("v{}", kLength - 1)), "sums");

  std::string rows = doubled + "tensor<fp16, [1, 4]> r0 = reshape(x = v0, shape = tensor<int32, [2]>([1, 4]));\n";
  constexpr int kRows = kSanitized ? 3000 : 15000;
  for (int i = 1; i < kRows; ++i) {
    rows += fmt::format("tensor<fp16, [1]> m{} = reduce_sum(x = r{}, axes = tensor<int32, [1]>([1]));\n", i, i - 1);
    rows += fmt::format("tensor<fp16, [1]> z{0} = mul(x = m{0}, y = fp16(0));\n", i);
    rows += fmt::format("tensor<fp16, [1, 4]> r{} = add(x = r{}, y = z{});\n", i, i - 1, i);
  }
  check_doubles(text_of(rows, fmt::format("r{}", kRows - 1)), "rows");

  std::string nested = doubled +
                       "tensor<fp16, [1]> one = slice_by_size(x = x, begin = tensor<int32, [1]>([0]), size = "
                       "tensor<int32, [1]>([1]));\n";
  constexpr int kNested = kSanitized ? 4000 : 20000;
  for (int i = 1; i < kNested; ++i) {
    nested += fmt::format("tensor<fp16, [{}]> v{} = concat(values = (v{}, one), axis = int32(0));\n", 4 + i, i, i - 1);
  }
  check_doubles(text_of(nested, fmt::format("v{}", kNested - 1)), "an output that is a nested concatenation");
  const std::string total = fmt::format("tensor<fp16, [{0}]> y = mul(x = v{1}, y = v{1});\n", 3 + kNested, kNested - 1);
  const std::string first = fmt::format(
      "tensor<fp16, [4]> z = slice_by_size(x = v{}, begin = tensor<int32, [1]>([0]), size = tensor<int32, "
      "[1]>([4]));\n",
      kNested - 1);
  check_doubles(text_of(nested + total + first, "z, y"), "a nested concatenation that is read");
}

TEST_CASE("convolutions with excessively large patches take no memory for them", "[device][host]") {
  const auto check = [](const Shape& x_shape, const Shape& weight_shape, const std::vector<std::int64_t>& dilations,
                        const std::vector<std::int64_t>& strides, std::int64_t groups, const std::string& padding,
                        const std::vector<std::int64_t>& pad) {
    Builder b(DType::fp32);
    const Var x = b.input("x", {DType::fp32, x_shape});
    std::vector<mil::Argument> arguments{arg("x", x),
                                         arg("weight", b.constant("w", numbers(DType::fp32, weight_shape))),
                                         arg("dilations", b.integers("dilations", dilations)),
                                         arg("strides", b.integers("strides", strides)),
                                         arg("groups", b.integer("groups", groups)),
                                         arg("pad_type", b.text("pad_type", padding))};
    if (padding == "custom") arguments.push_back(arg("pad", b.integers("pad", pad)));
    const Var y = b.operation(OpKind::conv, "y", arguments).front();
    const mil::Program program = std::move(b).finish(std::vector{y});
    CHECK(plan_bytes(mil::print(program)) < 1U << 20U);
    check_against_reference(program, 1, tolerance_of(DType::fp32));
  };
  constexpr std::int64_t kFar = 1 << 24;
  constexpr std::int64_t kFarthest = (std::int64_t{1} << 31) - 1;
  check({1, 1, 1, 8}, {1, 1, 1, 3}, {1, kFar}, {1, 1}, 1, "same", {});
  check({1, 1, 1, 8}, {1, 1, 1, 3}, {1, kFarthest}, {1, 1}, 1, "same_lower", {});
  check({2, 4, 5, 6}, {6, 2, 3, 3}, {1, kFar}, {2, 1}, 2, "custom", {1, 1, kFar, kFar});
  check({1, 2, 3, 4, 5}, {2, 2, 2, 3, 2}, {1, kFar, 1}, {1, 1, 2}, 1, "same", {});
  check({1, 1, 5000}, {1, 1, 2500}, {1}, {1}, 1, "valid", {});
}

TEST_CASE("the memory of attention scores is bounded by its tensors", "[device][host]") {
  constexpr std::int64_t kLength = 2100;
  Builder b(DType::fp32);
  const Var query = b.input("query", {DType::fp32, {1, kLength, 1}});
  const Var key = b.input("key", {DType::fp32, {1, kLength, 1}});
  const Var value = b.input("value", {DType::fp32, {1, kLength, 1}});
  const Var mask = b.input("mask", {DType::fp32, {1, kLength, 1}});
  const Var y = b.operation(OpKind::scaled_dot_product_attention, "y",
                            {arg("query", query), arg("key", key), arg("value", value), arg("attn_mask", mask)})
                    .front();
  const Var z = b.add("z", y, y);
  const mil::Program program = std::move(b).finish(std::vector{y, z});
  CHECK(plan_bytes(mil::print(program)) < std::size_t{3} * kLength * kLength * sizeof(float));
  check_against_reference(program, 1, tolerance_of(DType::fp32));
}

TEST_CASE("padding of every mode is written without a table of its positions", "[device][host]") {
  const std::string mode = GENERATE("constant", "reflect", "replicate");
  Builder b(DType::fp16);
  const Var x = b.input("x", {DType::fp16, {3, 1000}});
  const Var y = b.operation(OpKind::pad, "y",
                            {arg("x", b.transpose("t", x, {1, 0})), arg("pad", b.integers("by", {999, 7, 1, 2})),
                             arg("mode", b.text("mode", mode))})
                    .front();
  check_against_reference(std::move(b).finish(std::vector{y}), 1, 0);
}

TEST_CASE("a program without a function to run is refused", "[device][host]") {
  math::ThreadPool threads(1);
  HostDevice device(threads);
  const char* const text = "program(1.3) {}";
  CHECK_THROWS_WITH(device.compile("kernel", text, {}), ANE_CONTAINS("expected 'func'"));
}

TEST_CASE("an output of an unsupported type is refused, also a constant", "[device][host]") {
  math::ThreadPool threads(1);
  HostDevice device(threads);
  const char* const text =
      "program(1.3) { func main<ios18>(fp16 x) { int64 c = const()[val = int64(5)]; } -> (x, c); }";
  CHECK_THROWS_WITH(device.compile("kernel", text, {}), ANE_CONTAINS("output 'c' is int64"));
}

}  // namespace
}  // namespace ane::device::host
