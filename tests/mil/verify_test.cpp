#include "ane/mil/verify.h"

#include <functional>
#include <vector>

#include "ane/mil/text.h"

#include "samples.h"
#include "support/catch.h"

namespace ane::mil {
namespace {

struct Fault {
  std::string inputs;
  std::string operation;
  std::string message;
};

/// Ill-typed operations and their expected messages.
std::vector<Fault> faults() {
  const std::string x = "tensor<fp16, [2, 3, 4]> x";
  const std::string image = "tensor<fp16, [1, 8, 6, 10]> x";
  return {
      // arguments
      {x, "sigmoid(z = x)", "unknown argument 'z'; it takes x"},
      {x, "sigmoid()", "argument 'x' is missing: a tensor of fp16 or fp32"},
      {x, "sigmoid(x = x, x = x)", "argument 'x' is given twice"},
      {x, "softmax(x = x, axis = fp16(1))",
       "argument 'axis' must be a compile-time constant integer, but it is fp16 []"},
      {x, "softmax(x = x, axis = tensor<int32, [1]>([1]))",
       "argument 'axis' must be a compile-time constant integer, but it is int32 [1]"},
      {x + ", int32 n", "softmax(x = x, axis = n)",
       "argument 'axis' must be a compile-time constant integer, but it is int32 [] computed at run time"},
      {x, "softmax(x = x, axis = int64(5000000000))",
       "argument 'axis' holds 5000000000, expected -2147483648 to 2147483647"},
      {x, "transpose(x = x, perm = tensor<int32, [3]>(BLOBFILE(path = string(\"p\"), offset = uint64(64))))",
       "argument 'perm' must be a compile-time constant list of integers, but it is int32 [3] in a blob file; write it "
       "inline"},
      {"tensor<int8, [2]> x", "exp(x = x)", "argument 'x' must be a tensor of fp16 or fp32, but it is int8 [2]"},
      {"tensor<int32, [2]> x", "exp(x = x)", "argument 'x' must be a tensor of fp16 or fp32, but it is int32 [2]"},
      {x, "exp(x = (x))", "argument 'x' must be a tensor of fp16 or fp32"},
      {x, "exp(x = ())", "argument 'x' has 0 values"},
      {x, "concat(values = x, axis = int32(0))", "argument 'values' must be a tuple of tensors"},
      {x, "log(x = x, epsilon = fp32(0))", "element types disagree: x is fp16 [2, 3, 4] and epsilon is fp32 []"},
      {x, "cast(x = x, dtype = string(\"fp64\"))",
       "argument 'dtype' is \"fp64\", expected one of fp16, fp32, int32, bool, int8, uint8, int16, uint16"},
      {x, "gelu(x = x, mode = string(\"FAST\"))",
       "argument 'mode' is \"FAST\", expected one of EXACT, TANH_APPROXIMATION, SIGMOID_APPROXIMATION"},
      {x, "clip(x = x, alpha = fp16(1), beta = fp16(1))", "alpha must be below beta, but alpha is 1 and beta is 1"},
      {x, "logical_not(x = x)", "argument 'x' must be a tensor of bool, but it is fp16 [2, 3, 4]"},
      {x, "const()", "argument 'val' is missing: an inline constant"},
      // elementwise
      {x + ", tensor<fp16, [2]> z", "add(x = x, y = z)",
       "shapes do not broadcast: x is fp16 [2, 3, 4] and y is fp16 [2]"},
      {x + ", fp32 z", "mul(x = x, y = z)", "element types disagree: x is fp16 [2, 3, 4] and y is fp32 []"},
      {x + ", tensor<bool, [5]> c", "select(cond = c, a = x, b = x)",
       "shapes do not broadcast: cond is bool [5], a is fp16 [2, 3, 4] and b is fp16 [2, 3, 4]"},
      // products
      {"tensor<fp16, [1, 4, 32, 16]> x, tensor<fp16, [1, 4, 8, 32]> z", "matmul(x = x, y = z)",
       "op 'o' (matmul): inner dimensions disagree: x is fp16 [1, 4, 32, 16] and y is fp16 [1, 4, 8, 32]"},
      {"tensor<fp16, [2, 3]> x, tensor<fp16, [3, 5]> z", "matmul(x = x, y = z, transpose_y = bool(true))",
       "inner dimensions disagree: x is fp16 [2, 3] and y is fp16 [3, 5], y transposed"},
      {"tensor<fp16, [2, 4, 3]> x, tensor<fp16, [5, 3, 5]> z", "matmul(x = x, y = z)",
       "leading dimensions do not broadcast"},
      {"tensor<fp16, [2, 4, 3]> x, fp16 z", "matmul(x = x, y = z)", "a scalar has no rows and columns"},
      {image + ", tensor<fp16, [4, 7, 1, 1]> w", "conv(x = x, weight = w)",
       "weight must be [Co, Ci / groups, *kernel] with Ci and Co multiples of groups: groups is 1, x is fp16 [1, 8, 6, "
       "10] and weight is fp16 [4, 7, 1, 1]"},
      {image + ", tensor<fp16, [4, 8, 1, 1]> w", "conv(x = x, weight = w, groups = int32(0))", "groups is 0"},
      {image + ", tensor<fp16, [4, 8, 1]> w", "conv(x = x, weight = w)",
       "x must be [N, Ci, *spatial] of rank 3 to 5 and weight of the same rank"},
      {image + ", tensor<fp16, [4, 8, 7, 1]> w", "conv(x = x, weight = w)",
       "the kernel does not fit: it reaches over 7 elements of spatial dimension 0, which has 6 with its padding"},
      {image + ", tensor<fp16, [4, 8, 1, 1]> w", "conv(x = x, weight = w, strides = tensor<int32, [2]>([1, 0]))",
       "argument 'strides' must be positive, found 0"},
      {image + ", tensor<fp16, [4, 8, 1, 1]> w", "conv(x = x, weight = w, strides = tensor<int32, [1]>([1]))",
       "argument 'strides' has 1 elements, expected 2"},
      {image + ", tensor<fp16, [4, 8, 1, 1]> w", "conv(x = x, weight = w, pad_type = string(\"full\"))",
       "argument 'pad_type' is \"full\", expected one of valid, custom, same, same_lower"},
      {image + ", tensor<fp16, [4, 8, 1, 1]> w",
       "conv(x = x, weight = w, pad_type = string(\"custom\"), pad = tensor<int32, [4]>([0, 0, -1, 0]))",
       "argument 'pad' has a negative element"},
      {image + ", tensor<fp16, [4, 8, 2, 2]> w", "conv(x = x, weight = w, dilations = tensor<int32, [2]>([2, 2]))",
       "weight is computed at run time, so dilations must be 1"},
      {image + ", tensor<fp16, [4, 8, 1, 1]> w", "conv(x = x, weight = w, bias = tensor<fp16, [2]>([1, 2]))",
       "bias must be fp16 [4]: weight is fp16 [4, 8, 1, 1] and bias is fp16 [2]"},
      {x + ", tensor<fp16, [5, 4]> w", "linear(x = x, weight = w)",
       "argument 'weight' must be a compile-time constant tensor of fp16 or fp32, but it is fp16 [5, 4] computed at "
       "run time"},
      {x, "linear(x = x, weight = tensor<fp16, [1, 3]>([1, 2, 3]))",
       "weight must be [Do, Di] with Di the last dimension of x"},
      {"tensor<fp16, [1, 2, 5, 8]> q, tensor<fp16, [1, 2, 7, 4]> k",
       "scaled_dot_product_attention(query = q, key = k, value = q)",
       "query must be [B, *, L, E], key [B, *, S, E] and value [B, *, S, EV]"},
      {"tensor<fp16, [1, 2, 5, 8]> q, tensor<fp16, [5, 6]> m",
       "scaled_dot_product_attention(query = q, key = q, value = q, attn_mask = m)",
       "attn_mask must be bool or of query's type and broadcast to [1, 2, 5, 5]"},
      // axes
      {x, "softmax(x = x, axis = int32(3))", "axis 3 is out of range: rank 3 allows -3 to 2"},
      {"fp16 x", "softmax(x = x)", "axis -1 does not exist: a scalar has no axes"},
      {x, "reduce_sum(x = x, axes = tensor<int32, [2]>([1, -2]))", "axis -2 is given twice"},
      {x, "layer_norm(x = x, axes = tensor<int32, [1]>([2]), gamma = tensor<fp16, [3]>([1, 1, 1]))",
       "'gamma' must be fp16 [4], as x along its axes"},
      // shape and position
      {x, "reshape(x = x, shape = tensor<int32, [2]>([5, 5]))",
       "cannot reshape fp16 [2, 3, 4] to [5, 5]: 24 elements do not fill it"},
      {x, "reshape(x = x, shape = tensor<int32, [2]>([5, -1]))", "cannot reshape fp16 [2, 3, 4] to [5, -1]"},
      {x, "reshape(x = x, shape = tensor<int32, [2]>([-1, -1]))", "shape has -1 (infer) more than once"},
      {x, "reshape(x = x, shape = tensor<int32, [4]>([2, 3, 4, 0]))",
       "shape has 0 (copy) at 3, but x has no such axis"},
      {x, "reshape(x = x, shape = tensor<int32, [2]>([-2, -12]))", "negative dimension"},
      {x, "reshape(x = x, shape = tensor<int32, [9]>([1, 1, 1, 1, 1, 1, 2, 3, 4]))",
       "has rank 9, at most 8 is supported"},
      {x, "transpose(x = x, perm = tensor<int32, [2]>([1, 0]))", "argument 'perm' has 2 elements, expected 3"},
      {x, "transpose(x = x, perm = tensor<int32, [3]>([0, 1, 1]))", "axis 1 is given twice"},
      {x, "squeeze(x = x, axes = tensor<int32, [1]>([0]))", "axis 0 does not have size 1"},
      {x, "slice_by_size(x = x, begin = tensor<int32, [3]>([0, 1, 0]), size = tensor<int32, [3]>([2, 3, 4]))",
       "the slice leaves x: begin 1 and size 3 on axis 1, x is fp16 [2, 3, 4]"},
      {x, "slice_by_size(x = x, begin = tensor<int32, [3]>([0, 3, 0]), size = tensor<int32, [3]>([2, -1, 4]))",
       "the slice leaves x: begin 3 and size -1 on axis 1"},
      {x, "slice_by_size(x = x, begin = tensor<int32, [3]>([-1, 0, 0]), size = tensor<int32, [3]>([1, 3, 4]))",
       "the slice leaves x: begin -1"},
      {x, "slice_by_index(x = x, begin = tensor<int32, [3]>([0, 2, 0]), end = tensor<int32, [3]>([2, 2, 4]))",
       "the slice is empty: begin 2, end 2 and stride 1 on axis 1"},
      {x,
       "slice_by_index(x = x, begin = tensor<int32, [3]>([0, 0, 0]), end = tensor<int32, [3]>([2, 2, 4]), stride = "
       "tensor<int32, [3]>([1, 0, 1]))",
       "stride is 0 on axis 1"},
      {x,
       "slice_by_index(x = x, begin = tensor<int32, [3]>([2, 0, 0]), end = tensor<int32, [3]>([3, 2, 4]), squeeze_mask "
       "= tensor<bool, [3]>([true, false, false]))",
       "the slice leaves x: begin 2 on axis 0"},
      {x + ", tensor<fp16, [2, 2, 5]> z", "concat(values = (x, z), axis = int32(1))",
       "values cannot be joined: the first is fp16 [2, 3, 4] and number 2 is fp16 [2, 2, 5]"},
      {x + ", tensor<fp16, [2, 2, 4]> z", "concat(values = (x, z), axis = int32(1), interleave = bool(true))",
       "values cannot be joined"},
      {x + ", tensor<fp32, [2, 3, 4]> z", "stack(values = (x, z), axis = int32(1))", "values cannot be joined"},
      {x, "split(x = x, axis = int32(1), num_splits = int32(2))", "cannot split axis 1 into 2 equal parts"},
      {x, "split(x = x, axis = int32(1))", "num_splits or split_sizes must be given"},
      {x, "split(x = x, axis = int32(1), split_sizes = tensor<int32, [2]>([1, 1]))",
       "split_sizes add up to 2 on axis 1"},
      {x, "split(x = x, axis = int32(2), num_splits = int32(4))", "it has 4 results, but 1 names"},
      {x, "pad(x = x, pad = tensor<int32, [3]>([1, 1, 1]))",
       "argument 'pad' has 3 elements, expected two for each of the last axes"},
      {x, "pad(x = x, pad = tensor<int32, [2]>([4, 0]), mode = string(\"reflect\"))",
       "reflect pads by less than the axis has elements: 4 and 0 on axis 2"},
      {x, "pad(x = x, pad = tensor<int32, [2]>([4, 0]), mode = string(\"wrap\"))", "argument 'mode' is \"wrap\""},
      {x, "tile(x = x, reps = tensor<int32, [3]>([1, 0, 1]))", "reps must be positive, found 0 on axis 1"},
      {x, "tile(x = x, reps = tensor<int32, [3]>([1000000, 1000000, 1000]))",
       "the result is too large: shape [2000000, 3000000, 4000] has more than 2^40 elements"},
      {x + ", tensor<int32, [3]> i", "gather(x = x, indices = i, axis = int32(0), batch_dims = int32(1))",
       "the first batch_dims (1) axes of x and indices must agree and lie before axis 0"},
      {x + ", tensor<fp16, [3]> i", "gather(x = x, indices = i)",
       "argument 'indices' must be a tensor of integers, but it is fp16 [3]"},
      {x + ", tensor<int32, [2, 5, 3]> i", "gather_along_axis(x = x, indices = i, axis = int32(1))",
       "x and indices must agree on all axes but 1: x is fp16 [2, 3, 4] and indices is int32 [2, 5, 3]"},
      {x + ", tensor<int32, [5]> i", "gather_along_axis(x = x, indices = i)", "x and indices must agree"},
      {x, "range_1d(start = int32(0), end = int32(4), step = int32(0))",
       "the range from 0 to 4 in steps of 0 has no length from 1 to 1048576"},
      {x, "range_1d(start = int32(0), end = int32(2000000000), step = int32(1))", "has no length from 1 to 1048576"},
      {x, "range_1d(start = int32(4), end = int32(0), step = int32(1))", "has no length from 1 to 1048576"},
      {x, "range_1d(start = fp16(0), end = fp16(1), step = fp16(nan))", "has no length from 1 to 1048576"},
      {x, "range_1d(start = fp16(0), end = fp16(1), step = fp32(1))", "element types disagree"},
      {x + ", int32 n", "range_1d(start = int32(0), end = n, step = int32(1))", "computed at run time"},
      {"fp16 x", "shape(x = x)", "shape [0] has dimension 0"},
      // selection
      {x, "topk(x = x, k = int32(5))", "k is 5, expected -1 (all) or 1 to 4, the size of axis 2"},
      {x, "topk(x = x, return_indices = bool(false), output_indices_dtype = string(\"int32\"))",
       "output_indices_dtype is given, but return_indices is false"},
      {x, "reduce_argmax(x = x, output_dtype = string(\"int8\"))",
       "argument 'output_dtype' is \"int8\", expected one of int32, uint16"},
      {"tensor<fp16, [65537]> x", "reduce_argmin(x = x, output_dtype = string(\"uint16\"))",
       "uint16 cannot hold the indices of axis 0"},
      {"fp16 x", "reduce_argmax(x = x)", "a scalar has no axes"},
      {"tensor<bool, [2]> x", "topk(x = x)", "argument 'x' must be a tensor of numbers, but it is bool [2]"},
      // windows
      {image, "max_pool(x = x, kernel_sizes = tensor<int32, [1]>([2]), pad_type = string(\"valid\"))",
       "argument 'kernel_sizes' has 1 elements, expected 2"},
      {"tensor<fp16, [2, 3]> x",
       "max_pool(x = x, kernel_sizes = tensor<int32, [1]>([2]), pad_type = string(\"valid\"))",
       "x must be [N, C, *spatial] of rank 3 to 5"},
      {image, "max_pool(x = x, kernel_sizes = tensor<int32, [2]>([7, 1]), pad_type = string(\"valid\"))",
       "the kernel does not fit: it reaches over 7 elements of spatial dimension 0"},
      {image,
       "avg_pool(x = x, kernel_sizes = tensor<int32, [2]>([2, 2]), pad_type = string(\"same\"), ceil_mode = "
       "bool(true))",
       "ceil_mode cannot be combined with pad_type \"same\""},
      {image,
       "avg_pool(x = x, kernel_sizes = tensor<int32, [2]>([2, 2]), pad_type = string(\"custom\"), pad = "
       "tensor<int32, [4]>([0, 1, 0, 0]), ceil_mode = bool(true))",
       "with ceil_mode padding must be symmetric, but it is 0 and 1 on spatial dimension 0"},
      {image,
       "avg_pool(x = x, kernel_sizes = tensor<int32, [2]>([2, 2]), pad_type = string(\"custom\"), pad = "
       "tensor<int32, [4]>([0, 0, 2, 0]))",
       "the first window of spatial dimension 1 holds no element of x"},
      {image,
       "avg_pool(x = x, kernel_sizes = tensor<int32, [2]>([1, 1]), pad_type = string(\"valid\"), strides = "
       "tensor<int32, [2]>([9, 1]), ceil_mode = bool(true))",
       "the last window of spatial dimension 0 holds no element of x"},
      // einsum
      {x, "einsum(values = (x, x, x), equation = string(\"abc,abc->abc\"))", "it multiplies two values, found 3"},
      {x, "einsum(values = (x, x), equation = string(\"abc,abc\"))",
       "equation \"abc,abc\" is not of the form \"nchw,nwhu->nchu\""},
      {x, "einsum(values = (x, x), equation = string(\"...c,abc->abc\"))", "the equation must be letters"},
      {x, "einsum(values = (x, x), equation = string(\"aac,abc->abc\"))", "'a' occurs twice in \"aac\""},
      {x, "einsum(values = (x, x), equation = string(\"ab,abc->abc\"))",
       "\"ab\" has 2 letters, but value 1 is fp16 [2, 3, 4]"},
      {x, "einsum(values = (x, x), equation = string(\"abc,cbd->ad\"))",
       "'c' is 4 in the first operand and 2 in the second"},
      {x, "einsum(values = (x, x), equation = string(\"abc,abd->abe\"))", "no operand has 'e' of the result"},
      {"tensor<int32, [2, 3]> x", "einsum(values = (x, x), equation = string(\"ab,ab->ab\"))",
       "both values must be of fp16 or of fp32"},
      // quantized values and compressed weights
      {x, "quantize(input = x, scale = fp16(1), output_dtype = string(\"int16\"))",
       "argument 'output_dtype' is \"int16\", expected one of int8, uint8"},
      {x, "quantize(input = x, scale = fp16(1), zero_point = int8(1), output_dtype = string(\"uint8\"))",
       "zero_point must be of the output's type, uint8: zero_point is int8 []"},
      {x, "quantize(input = x, scale = tensor<fp16, [3]>([1, 2, 3]), output_dtype = string(\"uint8\"))",
       "'scale' is not a scalar, so axis must be given"},
      {"tensor<int8, [2, 3]> x", "dequantize(input = x, scale = tensor<fp16, [2]>([1, 2]), axis = int32(1))",
       "'scale' must be a scalar or have one element for each index of axis 1: input is int8 [2, 3] and scale is fp16 "
       "[2]"},
      {"tensor<int8, [2, 3]> x", "dequantize(input = x, scale = fp16(1), zero_point = uint8(1))",
       "element types disagree"},
      {x,
       "constexpr_lut_to_dense()[indices = tensor<uint8, [1]>([0]), lut = tensor<fp16, [3]>([1, 2, 3]), shape = "
       "tensor<uint32, [1]>([8]), name = string(\"o\")]",
       "the table must have 2, 4, 16, 64 or 256 elements: lut is fp16 [3]"},
      {x,
       "constexpr_lut_to_dense()[indices = tensor<uint8, [1]>([0]), lut = tensor<fp16, [4]>([1, 2, 3, 4]), shape = "
       "tensor<uint32, [1]>([8]), name = string(\"o\")]",
       "8 elements of 2 bits take 2 bytes, but indices is uint8 [1]"},
      {x,
       "constexpr_sparse_to_dense()[nonzero_data = tensor<fp16, [1]>([1]), mask = tensor<uint8, [1]>([3]), shape = "
       "tensor<uint32, [1]>([8]), name = string(\"o\")]",
       "the mask sets 2 bits: nonzero_data is fp16 [1]"},
      {x,
       "constexpr_sparse_to_dense()[nonzero_data = tensor<fp16, [1]>([1]), mask = tensor<uint8, [1]>([8]), shape = "
       "tensor<uint32, [1]>([3]), name = string(\"o\")]",
       "the mask sets bits past the last element"},
      // declared type
      {x, "exp(x = x)", "'y' is declared as fp16 [], but the operation gives fp16 [2, 3, 4]"},
  };
}

/// A verified program to be broken.
Program gate() {
  return parse(samples::text("tensor<fp16, [2]> x", R"(
      tensor<fp16, [2]> c = const()[name = string("c"), val = tensor<fp16, [2]>([1, 2])];
      tensor<fp16, [2]> y = mul(x = x, y = c)[name = string("y")];)"));
}

}  // namespace

TEST_CASE("inference gives every operation's result type", "[mil]") {
  for (const auto& sample : samples::all()) {
    CAPTURE(sample.body);
    const Program program = parse(samples::text(sample.inputs, sample.body));
    const Function& main = program.main();
    CHECK(main.operations.back().kind == sample.kind);
    CHECK(infer_types(main, main.operations.back()).front() == sample.y);
    CHECK_NOTHROW(verify(program));
  }
}

TEST_CASE("ill-typed operations are refused with expected and actual types", "[mil]") {
  for (const Fault& fault : faults()) {
    CAPTURE(fault.operation);
    const std::string name = fault.operation.ends_with(']') ? "" : "[name = string(\"o\")]";
    const std::string text = samples::text(fault.inputs, "fp16 y = " + fault.operation + name + ";");
    CHECK_THROWS_AS(parse(text), ParseError);
    CHECK_THROWS_WITH(parse(text), ANE_CONTAINS("line 3, column 1: op 'o' (") && ANE_CONTAINS(fault.message));
  }
}

TEST_CASE("verify refuses incomplete programs", "[mil]") {
  const std::vector<std::pair<std::function<void(Program&)>, std::string>> breaks = {
      {[](Program& p) { p.functions.clear(); }, "the program has no function"},
      {[](Program& p) { p.functions.push_back(p.functions[0]); }, "function 'main' is defined twice"},
      {[](Program& p) { p.functions[0].name = "1st"; }, "'1st' is not a valid function name"},
      {[](Program& p) { p.functions[0].values[0].name = "a b"; }, "'a b' is not a valid name"},
      {[](Program& p) { p.functions[0].values[1].name = "x"; }, "'x' is defined twice"},
      {[](Program& p) { p.functions[0].values[0].type.shape = {0}; },
       "'x': shape [0] has dimension 0, expected 1 to 2147483647"},
      {[](Program& p) { p.functions[0].values[0].type.dtype = DType::string; }, "input 'x' is a string"},
      {[](Program& p) { p.functions[0].values.pop_back(); }, "values are not numbered in order of definition"},
      {[](Program& p) {
         p.functions[0].values.push_back({"z", {}});
       },
       "has values without a definition"},
      {[](Program& p) { p.functions[0].operations[1].results = {1}; },
       "values are not numbered in order of definition"},
      {[](Program& p) { p.functions[0].operations[1].arguments[1].operands = {Operand(ValueId{2})}; },
       "op 'y' (mul): argument 'y' is used before it is defined"},
      {[](Program& p) { p.functions[0].operations[1].arguments[1].operands = {Operand(ValueId{9})}; },
       "argument 'y' is used before it is defined"},
      {[](Program& p) { p.functions[0].operations[1].arguments[1].operands.clear(); }, "argument 'y' has 0 values"},
      {[](Program& p) { p.functions[0].outputs.clear(); }, "function 'main' returns nothing"},
      {[](Program& p) {
         p.functions[0].outputs = {2, 2};
       },
       "returns 'y' twice"},
      {[](Program& p) { p.functions[0].outputs = {7}; }, "returns a value that does not exist"},
      {[](Program& p) {
         std::get<Constant>(p.functions[0].operations[0].attributes[0].operands[0]).data = std::vector<float>{1};
       },
       "a constant of type fp16 [2] needs 2 elements, found 1"},
      {[](Program& p) {
         std::get<Constant>(p.functions[0].operations[0].attributes[0].operands[0]).data = std::vector<float>{1, 0.1F};
       },
       "a constant of type fp16 holds 0.1, which fp16 cannot represent"},
      {[](Program& p) {
         std::get<Constant>(p.functions[0].operations[0].attributes[0].operands[0]).data =
             std::vector<std::int64_t>{1, 2};
       },
       "a constant of type fp16 holds integers"},
      {[](Program& p) {
         std::get<Constant>(p.functions[0].operations[0].attributes[0].operands[0]).data = BlobRef{"", 64};
       },
       "the path of a BLOBFILE is empty"},
  };
  REQUIRE_NOTHROW(verify(gate()));
  for (const auto& [damage, message] : breaks) {
    Program program = gate();
    damage(program);
    CAPTURE(message);
    CHECK_THROWS_AS(verify(program), TypeError);
    CHECK_THROWS_WITH(verify(program), ANE_CONTAINS(message));
  }
}

TEST_CASE("integers of constants must fit their type", "[mil]") {
  Program program = gate();
  auto& constant = std::get<Constant>(program.functions[0].operations[0].attributes[0].operands[0]);
  const auto [dtype, value, fits] = GENERATE(table<DType, std::int64_t, bool>({{DType::int8, 127, true},
                                                                               {DType::int8, 128, false},
                                                                               {DType::uint8, -1, false},
                                                                               {DType::int16, -32768, true},
                                                                               {DType::uint16, 65536, false},
                                                                               {DType::int32, 2147483648, false},
                                                                               {DType::uint32, 4294967295, true},
                                                                               {DType::uint64, -1, false},
                                                                               {DType::boolean, 2, false}}));
  CAPTURE(name(dtype), value);
  constant = {{dtype, {2}}, std::vector<std::int64_t>{0, value}};
  const Operation& operation = program.functions[0].operations[0];
  if (fits)
    CHECK(infer_types(program.functions[0], operation).front() == TensorType{dtype, {2}});
  else
    CHECK_THROWS_WITH(infer_types(program.functions[0], operation),
                      ANE_CONTAINS(std::string("a constant of type ") + std::string(name(dtype)) + " holds"));
}

}  // namespace ane::mil
