#include "foreign.h"
#include "support/catch.h"

namespace ane::device::host {
namespace {

using mil::DType;
using Numbers = std::vector<double>;

std::string ints(const std::string& name, const std::vector<int>& values) {
  std::string text = ", " + name + " = tensor<int32, [" + std::to_string(values.size()) + "]>([";
  for (std::size_t i = 0; i < values.size(); ++i) text += (i > 0 ? ", " : "") + std::to_string(values[i]);
  return text + "])";
}

struct Pooling {
  std::string x;
  std::string y;
  std::string arguments;
};

const std::vector<Pooling>& poolings() {
  static const std::vector<Pooling> all{
      {"[1, 6, 1, 32]", "[1, 6, 1, 16]",
       ints("kernel_sizes", {1, 2}) + ints("strides", {1, 2}) + R"(, pad_type = string("valid"))"},
      {"[2, 3, 9, 11]", "[2, 3, 7, 10]", ints("kernel_sizes", {3, 2}) + R"(, pad_type = string("valid"))"},
      {"[2, 3, 9, 11]", "[2, 3, 5, 4]",
       ints("kernel_sizes", {3, 5}) + ints("strides", {2, 3}) + R"(, pad_type = string("same"))"},
      {"[2, 3, 9, 11]", "[2, 3, 9, 11]", ints("kernel_sizes", {2, 4}) + R"(, pad_type = string("same_lower"))"},
      {"[1, 2, 9, 1]", "[1, 2, 5, 1]",
       ints("kernel_sizes", {3, 1}) + ints("strides", {2, 1}) + ints("pad", {1, 1, 0, 0}) +
           R"(, pad_type = string("custom"))"},
      {"[1, 2, 10, 7]", "[1, 2, 4, 3]",
       ints("kernel_sizes", {3, 3}) + ints("strides", {3, 3}) + ints("pad", {2, 2, 0, 0}) +
           R"(, pad_type = string("custom"), ceil_mode = bool(true))"},
      {"[3, 4, 21]", "[3, 4, 7]",
       ints("kernel_sizes", {5}) + ints("strides", {3}) + R"(, pad_type = string("valid"), ceil_mode = bool(true))"},
      {"[1, 2, 4, 5, 6]", "[1, 2, 2, 5, 1]", ints("kernel_sizes", {3, 1, 6}) + R"(, pad_type = string("valid"))"},
      {"[1, 2, 4, 5, 6]", "[1, 2, 2, 3, 3]",
       ints("kernel_sizes", {2, 2, 2}) + ints("strides", {2, 2, 2}) + R"(, pad_type = string("same"))"},
      {"[1, 2, 8, 8]", "[1, 2, 2, 3]",
       ints("kernel_sizes", {1, 1}) + ints("strides", {5, 3}) + R"(, pad_type = string("valid"))"},
      {"[1, 1, 40, 40]", "[1, 1, 1, 1]", ints("kernel_sizes", {40, 40}) + R"(, pad_type = string("valid"))"},
  };
  return all;
}

TEST_CASE("max_pool and avg_pool: every padding, one to three dimensions", "[device][host]") {
  const std::string dtype = GENERATE("fp16", "fp32");
  for (const Pooling& pooling : poolings()) {
    CAPTURE(dtype, pooling.arguments);
    const auto operation = [&](const std::string& name, const std::string& kind, const std::string& more) {
      return "tensor<" + dtype + ", " + pooling.y + "> " + name + " = " + kind + "(x = x" + pooling.arguments + more +
             ");\n";
    };
    const std::string inputs = "tensor<" + dtype + ", " + pooling.x + "> x";
    check_against_reference(program_of(inputs, operation("y", "max_pool", "")), 1, 0);
    check_against_reference(program_of(inputs,
                                       operation("a", "avg_pool", "") +
                                           operation("b", "avg_pool", ", exclude_padding_from_average = bool(true)"),
                                       "a, b"),
                            2, tolerance_of(dtype == "fp16" ? DType::fp16 : DType::fp32));
  }
}

TEST_CASE("pooling of computed and of transposed values", "[device][host]") {
  check_against_reference(program_of("tensor<fp32, [7, 9, 3, 2]> x", R"(
        tensor<fp32, [7, 9, 3, 2]> d = add(x = x, y = x);
        tensor<fp32, [2, 3, 7, 9]> t = transpose(x = d, perm = tensor<int32, [4]>([3, 2, 0, 1]));
        tensor<fp32, [2, 3, 6, 4]> y = max_pool(x = t, kernel_sizes = tensor<int32, [2]>([2, 3]), strides = tensor<int32, [2]>([1, 2]), pad_type = string("valid"));
        tensor<fp32, [2, 3, 6, 4]> z = avg_pool(x = y, kernel_sizes = tensor<int32, [2]>([3, 3]), pad_type = string("same"));)",
                                     "z, y"),
                          3, tolerance_of(DType::fp32));
}

TEST_CASE("means of windows count padding unless it is excluded", "[device][host]") {
  const std::string operation =
      "tensor<fp32, [1, 1, 2]> y = avg_pool(x = x, kernel_sizes = tensor<int32, [1]>([2]), strides = tensor<int32, "
      "[1]>([2]), pad_type = string(\"custom\"), pad = tensor<int32, [2]>([1, 0])";
  const std::vector<reference::Tensor> x{{{DType::fp32, {1, 1, 3}}, {6, 2, 4}}};
  CHECK(results_of(program_of("tensor<fp32, [1, 1, 3]> x", operation + ");"), x)[0] == Numbers{3, 3});
  CHECK(results_of(program_of("tensor<fp32, [1, 1, 3]> x", operation + ", exclude_padding_from_average = true);"),
                   x)[0] == Numbers{6, 3});
}

}  // namespace
}  // namespace ane::device::host
