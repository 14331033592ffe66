#include <limits>

#include "foreign.h"
#include "support/catch.h"

namespace ane::device::host {
namespace {

using mil::DType;
using Numbers = std::vector<double>;

TEST_CASE("reduce_argmax and reduce_argmin along every axis", "[device][host]") {
  const std::string kind = GENERATE("reduce_argmax", "reduce_argmin");
  const std::string dtype = GENERATE("fp16", "fp32", "int32");
  const auto [axis, kept, dropped] = GENERATE(table<std::string, std::string, std::string>({
      {"0", "[1, 5, 37]", "[5, 37]"},
      {"-2", "[3, 1, 37]", "[3, 37]"},
      {"2", "[3, 5, 1]", "[3, 5]"},
  }));
  CAPTURE(kind, dtype, axis);
  // Integers are 0 to 3, so that there are ties: the first counts.
  check_against_reference(program_of("tensor<" + dtype + ", [3, 5, 37]> x",
                                     "tensor<int32, " + kept + "> y = " + kind + "(x = x, axis = int32(" + axis +
                                         "), keep_dims = true);" + "tensor<uint16, " + dropped + "> z = " + kind +
                                         "(x = x, axis = int32(" + axis + "), output_dtype = string(\"uint16\"));",
                                     "y, z"),
                          1, 0);
}

TEST_CASE("argmax uses the last axis and drops it by default", "[device][host]") {
  const mil::Program program = program_of("tensor<fp16, [2, 3]> x",
                                          "tensor<int32, [2]> y = reduce_argmax(x = x);"
                                          "tensor<int32, [2]> z = reduce_argmin(x = x);",
                                          "y, z");
  const auto results = results_of(program, {{{DType::fp16, {2, 3}}, {1, 7, 7, -1, -2, -2}}});
  CHECK(results[0] == Numbers{1, 0});
  CHECK(results[1] == Numbers{0, 1});
  // NaN counts as the greatest.
  const auto with_nan = results_of(program, {{{DType::fp16, {2, 3}}, {1, kNan, 7, kNan, -2, kNan}}});
  CHECK(with_nan[0] == Numbers{1, 0});
  CHECK(with_nan[1] == Numbers{0, 1});
}

TEST_CASE("topk: values, indices and order along every axis", "[device][host]") {
  const std::string dtype = GENERATE("fp16", "fp32", "int32", "int8", "uint16");
  const std::string ascending = GENERATE("true", "false");
  const auto [axis, k, shape] = GENERATE(table<std::string, std::string, std::string>({
      {"-1", "1", "[4, 3, 1]"},
      {"2", "-1", "[4, 3, 70]"},
      {"1", "2", "[4, 2, 70]"},
      {"0", "4", "[4, 3, 70]"},
      {"2", "13", "[4, 3, 13]"},
  }));
  CAPTURE(dtype, ascending, axis, k);
  const std::string arguments =
      "(x = x, k = int32(" + k + "), axis = int32(" + axis + "), ascending = bool(" + ascending + ")";
  check_against_reference(
      program_of("tensor<" + dtype + ", [4, 3, 70]> x",
                 "tensor<" + dtype + ", " + shape + "> v, tensor<int32, " + shape + "> i = topk" + arguments + ");" +
                     "tensor<" + dtype + ", " + shape + "> w = topk" + arguments + ", return_indices = bool(false));" +
                     "tensor<" + dtype + ", " + shape + "> u, tensor<uint16, " + shape + "> j = topk" + arguments +
                     ", output_indices_dtype = string(\"uint16\"), sort = bool(false));",
                 "i, v, w, j"),
      2, 0);
}

TEST_CASE("topk returns the largest element by default", "[device][host]") {
  const auto results =
      results_of(program_of("tensor<fp32, [5]> x", "tensor<fp32, [1]> v, tensor<int32, [1]> i = topk(x = x);", "v, i"),
                 {{{DType::fp32, {5}}, {-3, 2, 9, 9, 0}}});
  CHECK(results[0] == Numbers{9});
  CHECK(results[1] == Numbers{2});
}

TEST_CASE("gather_along_axis of every type and axis", "[device][host]") {
  const std::string dtype = GENERATE("fp16", "fp32", "int32", "bool", "uint8");
  const auto [axis, shape] =
      GENERATE(table<std::string, std::string>({{"0", "[7, 5, 6]"}, {"1", "[4, 2, 6]"}, {"-1", "[4, 5, 9]"}}));
  CAPTURE(dtype, axis);
  check_against_reference(
      program_of("tensor<" + dtype + ", [4, 5, 6]> x, tensor<int32, " + shape + "> i, tensor<uint8, " + shape + "> j",
                 "tensor<" + dtype + ", " + shape + "> y = gather_along_axis(x = x, indices = i, axis = int32(" + axis +
                     "));" + "tensor<" + dtype + ", " + shape +
                     "> z = gather_along_axis(x = x, indices = j, axis = int32(" + axis + "));",
                 "y, z"),
      3, 0);
}

TEST_CASE("gather_along_axis counts negative indices from the end and refuses others", "[device][host]") {
  const mil::Program program =
      program_of("tensor<fp32, [2, 2]> x, tensor<int32, [2, 2]> i",
                 "tensor<fp32, [2, 2]> y = gather_along_axis(x = x, indices = i)[name = string(\"picked\")];");
  const reference::Tensor x{{DType::fp32, {2, 2}}, {10, 11, 12, 13}};
  CHECK(results_of(program, {x, {{DType::int32, {2, 2}}, {0, -1, 1, -2}}})[0] == Numbers{10, 13, 12, 11});
  CHECK_THROWS_WITH(results_of(program, {x, {{DType::int32, {2, 2}}, {0, 0, 2, 0}}}),
                    ANE_CONTAINS("'picked': index 2 is outside the axis of 2"));
}

TEST_CASE("range_1d and shape are constants that can be operands and outputs", "[device][host]") {
  const std::string dtype = GENERATE("fp16", "fp32", "int32");
  check_against_reference(program_of("tensor<" + dtype + ", [4]> x",
                                     "tensor<" + dtype + ", [4]> r = range_1d(start = " + dtype + "(7), end = " +
                                         dtype + "(-4), step = " + dtype + "(-3));" + "tensor<" + dtype +
                                         ", [4]> y = add(x = x, y = r);" + "tensor<int32, [1]> s = shape(x = x);",
                                     "y, r, s"),
                          4, 0);
  // Every element of an fp16 range is rounded once.
  const auto fractions =
      results_of(program_of("tensor<fp16, [1]> x",
                            "tensor<fp16, [5]> y = range_1d(start = fp16(1), end = fp16(1.5), step = fp16(0.1));"),
                 {{{DType::fp16, {1}}, {0}}});
  CHECK(fractions[0].back() == reference::round_to(DType::fp16, 1 + 4 * reference::round_to(DType::fp16, 0.1)));
}

}  // namespace
}  // namespace ane::device::host
