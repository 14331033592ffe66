#include "foreign.h"
#include "support/catch.h"

namespace ane::device::host {
namespace {

using mil::DType;

std::string einsum(const std::string& dtype, const std::string& shape, const std::string& equation) {
  return "tensor<" + dtype + ", " + shape + "> y = einsum(equation = string(\"" + equation + "\"), values = (a, b));";
}

TEST_CASE("einsum of two operands", "[device][host]") {
  const std::string dtype = GENERATE("fp16", "fp32");
  const auto [a, b, equation, shape] = GENERATE(table<std::string, std::string, std::string, std::string>({
      {"[2, 3, 4, 5]", "[2, 5, 4, 6]", "nchw,nwhu->nchu", "[2, 3, 4, 6]"},
      {"[3, 4, 5]", "[5, 4, 6]", "chw,whr->chr", "[3, 4, 6]"},
      {"[1, 3, 1, 5]", "[2, 5, 4, 6]", "nchw,nwhu->nchu", "[2, 3, 4, 6]"},  // n and h broadcast
      {"[1, 7, 1, 32]", "[1, 9, 1, 32]", "nchw,nkhw->nchk", "[1, 7, 1, 9]"},
      {"[4, 5]", "[5, 6]", "ij,jk->ki", "[6, 4]"},
      {"[4, 5]", "[5, 4]", "ij,ji->", "[]"},
      {"[4]", "[5]", "i,j->ji", "[5, 4]"},
      {"[4, 5]", "[4, 5]", "ij,ij->ij", "[4, 5]"},
      {"[4, 5, 2]", "[5, 3]", "ijx,jy->i", "[4]"},  // x and y are in one operand only
      {"[2, 3, 7, 5, 2]", "[5, 3, 6, 4]", "abcde,dbfg->cgaf", "[7, 4, 2, 6]"},
  }));
  CAPTURE(dtype, equation);
  check_against_reference(program_of("tensor<" + dtype + ", " + a + "> a, tensor<" + dtype + ", " + b + "> b",
                                     einsum(dtype, shape, equation)),
                          1, 2 * tolerance_of(dtype == "fp16" ? DType::fp16 : DType::fp32));
}

TEST_CASE("einsum of transposed and sliced values, with its result used further", "[device][host]") {
  check_against_reference(program_of("tensor<fp32, [6, 5, 4, 3]> a, tensor<fp32, [8, 7, 5, 6]> b", R"(
        tensor<fp32, [3, 4, 5, 6]> t = transpose(x = a, perm = tensor<int32, [4]>([3, 2, 1, 0]));
        tensor<fp32, [4, 3, 5, 6]> s = slice_by_size(x = b, begin = tensor<int32, [4]>([2, 1, 0, 0]), size = tensor<int32, [4]>([4, 3, 5, 6]));
        tensor<fp32, [6, 3, 3]> e = einsum(equation = string("xchw,cyhw->wyx"), values = (t, s));
        tensor<fp32, [6, 3, 3]> y = tanh(x = e);)",
                                     "y, e"),
                          2, 2 * tolerance_of(DType::fp32));
}

TEST_CASE("einsum sums over letters that occur in one operand only", "[device][host]") {
  const auto results =
      results_of(program_of("tensor<fp32, [2, 2]> a, tensor<fp32, [2]> b",
                            "tensor<fp32, [2]> y = einsum(equation = string(\"ij,k->i\"), values = (a, b));"),
                 {{{DType::fp32, {2, 2}}, {1, 2, 3, 4}}, {{DType::fp32, {2}}, {10, 1}}});
  CHECK(results[0] == std::vector<double>{33, 77});
}

}  // namespace
}  // namespace ane::device::host
