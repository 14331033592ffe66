#include "samples.h"

namespace ane::mil::samples {
namespace {

TensorType fp16(Shape shape) { return {DType::fp16, std::move(shape)}; }
TensorType boolean(Shape shape) { return {DType::boolean, std::move(shape)}; }

std::vector<Sample> with_one_operand() {
  std::vector<Sample> samples;
  for (const OpKind kind :
       {OpKind::abs,  OpKind::sign,     OpKind::floor,   OpKind::ceil,    OpKind::round,  OpKind::exp,
        OpKind::log,  OpKind::sqrt,     OpKind::rsqrt,   OpKind::inverse, OpKind::square, OpKind::sin,
        OpKind::cos,  OpKind::tanh,     OpKind::erf,     OpKind::sigmoid, OpKind::relu,   OpKind::silu,
        OpKind::gelu, OpKind::softplus, OpKind::identity}) {
    const std::string op(name(kind));
    samples.push_back({kind, "tensor<fp16, [2, 3]> x",
                       "tensor<fp16, [2, 3]> y = " + op + "(x = x)[name = string(\"y\")];", fp16({2, 3})});
  }
  return samples;
}

std::vector<Sample> with_two_operands() {
  std::vector<Sample> samples;
  const std::string inputs = "tensor<fp16, [2, 1, 4]> a, tensor<fp16, [3, 1]> b";
  for (const OpKind kind : {OpKind::add, OpKind::sub, OpKind::mul, OpKind::real_div, OpKind::pow, OpKind::maximum,
                            OpKind::minimum, OpKind::floor_div, OpKind::mod}) {
    const std::string op(name(kind));
    samples.push_back(
        {kind, inputs, "tensor<fp16, [2, 3, 4]> y = " + op + "(x = a, y = b)[name = string(\"y\")];", fp16({2, 3, 4})});
  }
  for (const OpKind kind :
       {OpKind::greater, OpKind::greater_equal, OpKind::less, OpKind::less_equal, OpKind::equal, OpKind::not_equal}) {
    const std::string op(name(kind));
    samples.push_back({kind, inputs, "tensor<bool, [2, 3, 4]> y = " + op + "(x = a, y = b)[name = string(\"y\")];",
                       boolean({2, 3, 4})});
  }
  for (const OpKind kind : {OpKind::logical_and, OpKind::logical_or, OpKind::logical_xor}) {
    const std::string op(name(kind));
    samples.push_back({kind, "tensor<bool, [2, 1, 4]> a, tensor<bool, [3, 1]> b",
                       "tensor<bool, [2, 3, 4]> y = " + op + "(x = a, y = b)[name = string(\"y\")];",
                       boolean({2, 3, 4})});
  }
  return samples;
}

std::vector<Sample> selections() {
  const TensorType indices{DType::int32, {2, 1}};
  std::vector<Sample> samples;
  for (const OpKind kind : {OpKind::reduce_argmax, OpKind::reduce_argmin}) {
    const std::string op(name(kind));
    samples.push_back({kind, "tensor<fp16, [2, 3]> x",
                       "tensor<int32, [2, 1]> y = " + op + "(x = x, axis = int32(-1), keep_dims = bool(true));",
                       indices});
    samples.push_back({kind,
                       "tensor<int32, [2, 3]> x",
                       "tensor<uint16, [2]> y = " + op + "(x = x, output_dtype = string(\"uint16\"));",
                       {DType::uint16, {2}}});
  }
  samples.push_back({OpKind::topk, "tensor<fp16, [2, 3]> x",
                     "tensor<fp16, [2, 2]> y, tensor<int32, [2, 2]> i = topk(x = x, k = int32(2), axis = int32(1), "
                     "ascending = bool(false), sort = bool(true))[name = string(\"y\")];",
                     fp16({2, 2})});
  samples.push_back(
      {OpKind::topk,
       "tensor<uint8, [2, 3]> x",
       "tensor<uint8, [2, 3]> y = topk(x = x, k = int32(-1), axis = int32(0), return_indices = bool(false));",
       {DType::uint8, {2, 3}}});
  return samples;
}

std::vector<Sample> windows() {
  std::vector<Sample> samples;
  for (const OpKind kind : {OpKind::max_pool, OpKind::avg_pool}) {
    const std::string op(name(kind));
    samples.push_back({kind, "tensor<fp16, [1, 8, 6, 10]> x",
                       "tensor<fp16, [1, 8, 3, 4]> y = " + op +
                           "(x = x, kernel_sizes = tensor<int32, [2]>([2, 3]), strides = tensor<int32, [2]>([2, 3]), "
                           "pad_type = string(\"same\"));",
                       fp16({1, 8, 3, 4})});
    samples.push_back({kind, "tensor<fp16, [2, 3, 9]> x",
                       "tensor<fp16, [2, 3, 5]> y = " + op +
                           "(x = x, kernel_sizes = tensor<int32, [1]>([2]), strides = tensor<int32, [1]>([2]), "
                           "pad_type = string(\"valid\"), ceil_mode = bool(true));",
                       fp16({2, 3, 5})});
  }
  samples.push_back({OpKind::avg_pool, "tensor<fp16, [1, 1, 4, 4, 4]> x",
                     "tensor<fp16, [1, 1, 4, 4, 5]> y = avg_pool(x = x, kernel_sizes = tensor<int32, [3]>([1, 1, 2]), "
                     "pad_type = string(\"custom\"), pad = tensor<int32, [6]>([0, 0, 0, 0, 1, 1]), "
                     "exclude_padding_from_average = bool(true));",
                     fp16({1, 1, 4, 4, 5})});
  return samples;
}

std::vector<Sample> quantized() {
  const std::string brackets = "()[name = string(\"y\"), shape = tensor<uint32, [2]>([2, 3]), ";
  return {
      {OpKind::quantize,
       "tensor<fp16, [2, 3]> x",
       R"(tensor<int8, [2, 3]> y = quantize(input = x, scale = fp16(0x1p-4), output_dtype = string("int8"));)",
       {DType::int8, {2, 3}}},
      {OpKind::quantize,
       "tensor<fp32, [2, 3]> x",
       R"(tensor<uint8, [2, 3]> y = quantize(input = x, scale = tensor<fp32, [3]>([1, 2, 3]), zero_point = tensor<uint8, [3]>([1, 2, 255]), axis = int32(-1), output_dtype = string("uint8"));)",
       {DType::uint8, {2, 3}}},
      {OpKind::dequantize, "tensor<uint8, [2, 3]> x",
       "tensor<fp16, [2, 3]> y = dequantize(input = x, scale = tensor<fp16, [2]>([1, 2]), zero_point = tensor<uint8, "
       "[2]>([0, 7]), axis = int32(0));",
       fp16({2, 3})},
      {OpKind::constexpr_lut_to_dense, "tensor<fp16, [2]> x",
       "tensor<fp16, [2, 3]> y = constexpr_lut_to_dense" + brackets +
           "indices = tensor<uint8, [1]>([42]), lut = tensor<fp16, [2]>([-1, 1])];",
       fp16({2, 3})},
      {OpKind::constexpr_lut_to_dense,
       "tensor<fp16, [2]> x",
       "tensor<int8, [2, 3]> y = constexpr_lut_to_dense" + brackets +
           "indices = tensor<uint8, [3]>([16, 50, 1]), lut = tensor<int8, [16]>([-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, "
           "2, 3, 4, 5, 6, 7])];",
       {DType::int8, {2, 3}}},
      {OpKind::constexpr_sparse_to_dense, "tensor<fp16, [2]> x",
       "tensor<fp16, [2, 3]> y = constexpr_sparse_to_dense" + brackets +
           "nonzero_data = tensor<fp16, [2]>([1.5, -2]), mask = tensor<uint8, [1]>([33])];",
       fp16({2, 3})},
  };
}

std::vector<Sample> reductions() {
  std::vector<Sample> samples;
  for (const OpKind kind : {OpKind::reduce_sum, OpKind::reduce_mean, OpKind::reduce_max, OpKind::reduce_min,
                            OpKind::reduce_sum_square, OpKind::reduce_l2_norm}) {
    const std::string op(name(kind));
    samples.push_back({kind, "tensor<fp16, [2, 3, 4]> x",
                       "tensor<fp16, [2, 1, 4]> y = " + op +
                           "(x = x, axes = tensor<int32, [1]>([-2]), keep_dims = bool(true))[name = string(\"y\")];",
                       fp16({2, 1, 4})});
    samples.push_back(
        {kind, "tensor<fp16, [2, 3, 4]> x",
         "tensor<fp16, [3]> y = " + op + "(x = x, axes = tensor<int32, [2]>([2, 0]))[name = string(\"y\")];",
         fp16({3})});
    samples.push_back(
        {kind, "tensor<fp16, [2, 3, 4]> x", "fp16 y = " + op + "(x = x)[name = string(\"y\")];", fp16({})});
  }
  return samples;
}

std::vector<Sample> others() {
  const std::string image = "tensor<fp16, [1, 8, 6, 10]> x";
  return {
      {OpKind::constant, "tensor<fp16, [2]> x",
       R"(tensor<fp16, [2, 3]> y = const()[name = string("y"), val = tensor<fp16, [2, 3]>([[1, 2.5, -3], [0x1p-3, 1e-3, 65504]])];)",
       fp16({2, 3})},
      {OpKind::constant, "tensor<fp16, [2]> x", R"(bool y = const()[name = string("y"), val = bool(true)];)",
       boolean({})},
      {OpKind::constant, "tensor<fp16, [2]> x",
       R"(tensor<fp16, [4, 2, 1, 1]> y = const()[name = string("y"), val = tensor<fp16, [4, 2, 1, 1]>(BLOBFILE(path = string("@model_path/w.bin"), offset = uint64(64)))];)",
       fp16({4, 2, 1, 1})},
      // conv: 1x1, same, custom with stride and dilation, grouped, 1-d and 3-d
      {OpKind::conv, image + ", tensor<fp16, [4, 8, 1, 1]> w",
       "tensor<fp16, [1, 4, 6, 10]> y = conv(x = x, weight = w);", fp16({1, 4, 6, 10})},
      {OpKind::conv, image + ", tensor<fp16, [4, 8, 3, 3]> w",
       R"(tensor<fp16, [1, 4, 3, 4]> y = conv(x = x, weight = w, pad_type = string("same"), strides = tensor<int32, [2]>([2, 3]));)",
       fp16({1, 4, 3, 4})},
      {OpKind::conv, image,
       R"(tensor<fp16, [4, 8, 3, 3]> w = const()[val = tensor<fp16, [4, 8, 3, 3]>(BLOBFILE(path = string("w"), offset = uint64(64)))];
          tensor<fp16, [4]> b = const()[val = tensor<fp16, [4]>([1, 2, 3, 4])];
          tensor<fp16, [1, 4, 3, 10]> y = conv(x = x, weight = w, bias = b, pad_type = string("custom"),
            pad = tensor<int32, [4]>([1, 0, 2, 2]), dilations = tensor<int32, [2]>([1, 2]), strides = tensor<int32, [2]>([2, 1]), groups = int32(1));)",
       fp16({1, 4, 3, 10})},
      {OpKind::conv, image + ", tensor<fp16, [4, 2, 1, 1]> w",
       "tensor<fp16, [1, 4, 6, 10]> y = conv(x = x, weight = w, groups = int32(4));", fp16({1, 4, 6, 10})},
      {OpKind::conv, "tensor<fp16, [2, 3, 9]> x, tensor<fp16, [5, 3, 4]> w",
       "tensor<fp16, [2, 5, 6]> y = conv(x = x, weight = w);", fp16({2, 5, 6})},
      {OpKind::conv, "tensor<fp16, [1, 1, 4, 4, 4]> x, tensor<fp16, [1, 1, 2, 2, 2]> w",
       R"(tensor<fp16, [1, 1, 4, 4, 4]> y = conv(x = x, weight = w, pad_type = string("same_lower"));)",
       fp16({1, 1, 4, 4, 4})},
      // matmul: flags, leading dimensions, vectors
      {OpKind::matmul, "tensor<fp16, [1, 4, 32, 16]> a, tensor<fp16, [1, 4, 8, 16]> b",
       "tensor<fp16, [1, 4, 32, 8]> y = matmul(transpose_x = bool(false), transpose_y = bool(true), x = a, y = b);",
       fp16({1, 4, 32, 8})},
      {OpKind::matmul, "tensor<fp16, [1, 8, 5, 3]> a, tensor<fp16, [1, 1, 3, 7]> b",
       "tensor<fp16, [1, 8, 5, 7]> y = matmul(x = a, y = b);", fp16({1, 8, 5, 7})},
      {OpKind::matmul, "tensor<fp16, [3]> a, tensor<fp16, [2, 3, 7]> b",
       "tensor<fp16, [2, 7]> y = matmul(x = a, y = b);", fp16({2, 7})},
      {OpKind::matmul, "tensor<fp16, [2, 5, 3]> a, tensor<fp16, [3]> b",
       "tensor<fp16, [2, 5]> y = matmul(x = a, y = b);", fp16({2, 5})},
      {OpKind::matmul, "tensor<fp16, [3]> a, tensor<fp16, [3]> b", "fp16 y = matmul(x = a, y = b);", fp16({})},
      {OpKind::matmul, "tensor<fp16, [4, 6]> a, tensor<fp16, [4, 9]> b",
       "tensor<fp16, [6, 9]> y = matmul(x = a, y = b, transpose_x = bool(true));", fp16({6, 9})},
      {OpKind::linear, "tensor<fp16, [4, 2]> x",
       "tensor<fp16, [4, 3]> y = linear(x = x, weight = tensor<fp16, [3, 2]>([1, 2, 3, 4, 5, 6]), bias = tensor<fp16, "
       "[3]>([1, 2, 3]));",
       fp16({4, 3})},
      {OpKind::linear, "tensor<fp16, [1, 1, 4, 2]> x",
       "tensor<fp16, [1, 1, 4, 3]> y = linear(x = x, weight = tensor<fp16, [3, 2]>([1, 2, 3, 4, 5, 6]));",
       fp16({1, 1, 4, 3})},
      {OpKind::einsum, "tensor<fp16, [2, 3, 4, 5]> a, tensor<fp16, [2, 5, 4, 7]> b",
       R"(tensor<fp16, [2, 3, 4, 7]> y = einsum(equation = string("nchw,nwhu->nchu"), values = (a, b));)",
       fp16({2, 3, 4, 7})},
      {OpKind::einsum, "tensor<fp16, [3, 1, 5]> a, tensor<fp16, [5, 4, 7]> b",
       R"(tensor<fp16, [7, 4, 3]> y = einsum(equation = string("chw, whr -> rhc"), values = (a, b));)",
       fp16({7, 4, 3})},
      {OpKind::leaky_relu, "tensor<fp16, [4]> x", "tensor<fp16, [4]> y = leaky_relu(x = x, alpha = fp16(0.5));",
       fp16({4})},
      {OpKind::clip, "tensor<fp16, [4]> x",
       "tensor<fp16, [4]> y = clip(x = x, alpha = fp16(-inf), beta = fp16(0x1.8p+1));", fp16({4})},
      {OpKind::cast,
       "tensor<fp16, [4]> x",
       R"(tensor<fp32, [4]> y = cast(x = x, dtype = string("fp32"));)",
       {DType::fp32, {4}}},
      {OpKind::cast, "tensor<fp32, [4]> x", R"(tensor<bool, [4]> y = cast(x = x, dtype = string("bool"));)",
       boolean({4})},
      {OpKind::logical_not, "tensor<bool, [4]> x", "tensor<bool, [4]> y = logical_not(x = x);", boolean({4})},
      {OpKind::select, "tensor<bool, [4, 1]> c, tensor<fp16, [3]> a, fp16 b",
       "tensor<fp16, [4, 3]> y = select(cond = c, a = a, b = b);", fp16({4, 3})},
      {OpKind::softmax, "tensor<fp16, [2, 3]> x", "tensor<fp16, [2, 3]> y = softmax(axis = int32(-1), x = x);",
       fp16({2, 3})},
      {OpKind::layer_norm, "tensor<fp16, [2, 3]> x",
       "tensor<fp16, [2, 3]> y = layer_norm(x = x, axes = tensor<int32, [1]>([1]), gamma = tensor<fp16, [3]>([1, 1, "
       "1]), epsilon = fp16(0x1.5p-17));",
       fp16({2, 3})},
      {OpKind::scaled_dot_product_attention,
       "tensor<fp16, [1, 2, 5, 8]> q, tensor<fp16, [1, 2, 7, 8]> k, tensor<fp16, [1, 2, 7, 4]> v, tensor<fp16, [5, 7]> "
       "m",
       "tensor<fp16, [1, 2, 5, 4]> y = scaled_dot_product_attention(query = q, key = k, value = v, attn_mask = m);",
       fp16({1, 2, 5, 4})},
      {OpKind::reshape, "tensor<fp16, [2, 3, 4]> x",
       "tensor<fp16, [2, 12]> y = reshape(x = x, shape = tensor<int32, [2]>([0, -1]));", fp16({2, 12})},
      {OpKind::transpose, "tensor<fp16, [2, 3, 4]> x",
       "tensor<fp16, [4, 2, 3]> y = transpose(x = x, perm = tensor<int32, [3]>([2, 0, -2]));", fp16({4, 2, 3})},
      {OpKind::expand_dims, "tensor<fp16, [2, 3]> x",
       "tensor<fp16, [1, 2, 3, 1]> y = expand_dims(x = x, axes = tensor<int32, [2]>([-1, 0]));", fp16({1, 2, 3, 1})},
      {OpKind::squeeze, "tensor<fp16, [1, 2, 1, 3]> x",
       "tensor<fp16, [1, 2, 3]> y = squeeze(x = x, axes = tensor<int32, [1]>([2]));", fp16({1, 2, 3})},
      {OpKind::squeeze, "tensor<fp16, [1, 2, 1, 3]> x", "tensor<fp16, [2, 3]> y = squeeze(x = x);", fp16({2, 3})},
      {OpKind::slice_by_size, "tensor<fp16, [2, 8]> x",
       "tensor<fp16, [1, 5]> y = slice_by_size(x = x, begin = tensor<int32, [2]>([1, 3]), size = tensor<int32, "
       "[2]>([1, -1]));",
       fp16({1, 5})},
      {OpKind::slice_by_index, "tensor<fp16, [2, 8, 5]> x",
       "tensor<fp16, [4, 5]> y = slice_by_index(x = x, begin = tensor<int32, [3]>([-1, 1, 0]), end = tensor<int32, "
       "[3]>([0, 100, 0]), stride = tensor<int32, [3]>([1, 2, -1]), "
       "begin_mask = tensor<bool, [3]>([false, false, true]), end_mask = tensor<bool, [3]>([false, false, true]), "
       "squeeze_mask = tensor<bool, [3]>([true, false, false]));",
       fp16({4, 5})},
      {OpKind::concat, "tensor<fp16, [2, 3]> a, tensor<fp16, [2, 1]> b",
       "tensor<fp16, [2, 7]> y = concat(axis = int32(1), interleave = bool(false), values = (a, b, a));", fp16({2, 7})},
      {OpKind::split, "tensor<fp16, [6, 2]> x",
       "tensor<fp16, [3, 2]> y, tensor<fp16, [3, 2]> y2 = split(x = x, axis = int32(0), num_splits = int32(2))[name = "
       "string(\"halves\")];",
       fp16({3, 2})},
      {OpKind::split, "tensor<fp16, [6, 2]> x",
       "tensor<fp16, [1, 2]> y, tensor<fp16, [5, 2]> y2 = split(x = x, axis = int32(0), split_sizes = tensor<int32, "
       "[2]>([1, 5]));",
       fp16({1, 2})},
      {OpKind::stack, "tensor<fp16, [6, 2]> x",
       "tensor<fp16, [6, 2, 3]> y = stack(values = (x, x, x), axis = int32(-1));", fp16({6, 2, 3})},
      {OpKind::pad, "tensor<fp16, [6, 2]> x",
       R"(tensor<fp16, [6, 5]> y = pad(x = x, pad = tensor<int32, [2]>([1, 2]), mode = string("constant"), constant_val = fp16(0));)",
       fp16({6, 5})},
      {OpKind::tile, "tensor<fp16, [6, 2]> x",
       "tensor<fp16, [6, 6]> y = tile(x = x, reps = tensor<int32, [2]>([1, 3]));", fp16({6, 6})},
      {OpKind::gather, "tensor<fp16, [6, 2]> x, tensor<int32, [3, 5]> i",
       "tensor<fp16, [3, 5, 2]> y = gather(x = x, indices = i, axis = int32(0));", fp16({3, 5, 2})},
      {OpKind::gather, "tensor<fp16, [4, 6, 2]> x, tensor<int32, [4, 5]> i",
       "tensor<fp16, [4, 5, 2]> y = gather(x = x, indices = i, axis = int32(1), batch_dims = int32(1));",
       fp16({4, 5, 2})},
      {OpKind::gather_along_axis, "tensor<fp16, [4, 6, 2]> x, tensor<int32, [4, 5, 2]> i",
       "tensor<fp16, [4, 5, 2]> y = gather_along_axis(x = x, indices = i, axis = int32(-2));", fp16({4, 5, 2})},
      {OpKind::range_1d,
       "tensor<fp16, [2]> x",
       "tensor<int32, [4]> y = range_1d(start = int32(7), end = int32(-4), step = int32(-3));",
       {DType::int32, {4}}},
      {OpKind::range_1d, "tensor<fp16, [2]> x",
       "tensor<fp16, [10]> y = range_1d(start = fp16(0), end = fp16(1), step = fp16(0.1));", fp16({10})},
      {OpKind::shape, "tensor<fp16, [2, 6]> x", "tensor<int32, [2]> y = shape(x = x);", {DType::int32, {2}}},
      {OpKind::constexpr_affine_dequantize, "tensor<fp16, [6, 2]> x",
       R"(tensor<fp16, [2, 2]> y = constexpr_affine_dequantize()[axis = int32(0), name = string("y"), quantized_data = tensor<int8, [2, 2]>([-128, 2, 3, 127]), scale = fp16(0.5), zero_point = int8(0)];)",
       fp16({2, 2})},
  };
}

}  // namespace

const std::vector<Sample>& all() {
  static const std::vector<Sample> every = [] {
    std::vector<Sample> samples = others();
    for (const auto& more :
         {with_one_operand(), with_two_operands(), reductions(), selections(), windows(), quantized()})
      samples.insert(samples.end(), more.begin(), more.end());
    return samples;
  }();
  return every;
}

std::string text(const std::string& inputs, const std::string& body) {
  return "program(1.3)\n{ func main<ios18>(" + inputs + ") {\n" + body + "\n} -> (y); }";
}

}  // namespace ane::mil::samples
