#include "op_spec.h"

#include <array>

#include "infer.h"

namespace ane::mil {
namespace {

constexpr Presence kOptional = Presence::optional;

constexpr std::array kConstant{Parameter{"val", Want::literal}};
constexpr std::array kDequantize{Parameter{"axis", Want::integer, kOptional},
                                 Parameter{"quantized_data", Want::quantized}, Parameter{"scale", Want::weights},
                                 Parameter{"zero_point", Want::quantized}};
constexpr std::array kLutToDense{Parameter{"indices", Want::bytes}, Parameter{"lut", Want::stored},
                                 Parameter{"shape", Want::integers}};
constexpr std::array kSparseToDense{Parameter{"nonzero_data", Want::stored}, Parameter{"mask", Want::bytes},
                                    Parameter{"shape", Want::integers}};
constexpr std::array kQuantize{Parameter{"input", Want::real}, Parameter{"scale", Want::weights},
                               Parameter{"zero_point", Want::quantized, kOptional},
                               Parameter{"axis", Want::integer, kOptional}, Parameter{"output_dtype", Want::text}};
constexpr std::array kDequantizeInput{Parameter{"input", Want::eight_bits}, Parameter{"scale", Want::weights},
                                      Parameter{"zero_point", Want::quantized, kOptional},
                                      Parameter{"axis", Want::integer, kOptional}};

constexpr std::array kConv{Parameter{"x", Want::real},
                           Parameter{"weight", Want::real},
                           Parameter{"bias", Want::weights, kOptional},
                           Parameter{"strides", Want::integers, kOptional},
                           Parameter{"pad_type", Want::text, kOptional},
                           Parameter{"pad", Want::integers, kOptional},
                           Parameter{"dilations", Want::integers, kOptional},
                           Parameter{"groups", Want::integer, kOptional}};
constexpr std::array kMatmul{Parameter{"x", Want::number}, Parameter{"y", Want::number},
                             Parameter{"transpose_x", Want::flag, kOptional},
                             Parameter{"transpose_y", Want::flag, kOptional}};
constexpr std::array kLinear{Parameter{"x", Want::real}, Parameter{"weight", Want::weights},
                             Parameter{"bias", Want::weights, kOptional}};
constexpr std::array kEinsum{Parameter{"values", Want::tuple}, Parameter{"equation", Want::text}};
constexpr std::array kAttention{Parameter{"query", Want::real}, Parameter{"key", Want::real},
                                Parameter{"value", Want::real}, Parameter{"attn_mask", Want::mask, kOptional}};

constexpr std::array kRealPair{Parameter{"x", Want::real}, Parameter{"y", Want::real}};
constexpr std::array kNumberPair{Parameter{"x", Want::number}, Parameter{"y", Want::number}};
constexpr std::array kBooleanPair{Parameter{"x", Want::booleans}, Parameter{"y", Want::booleans}};
constexpr std::array kReal{Parameter{"x", Want::real}};
constexpr std::array kNumber{Parameter{"x", Want::number}};
constexpr std::array kAny{Parameter{"x", Want::any}};
constexpr std::array kBooleans{Parameter{"x", Want::booleans}};
constexpr std::array kRealEpsilon{Parameter{"x", Want::real}, Parameter{"epsilon", Want::real_scalar, kOptional}};
constexpr std::array kRealAlpha{Parameter{"x", Want::real}, Parameter{"alpha", Want::real_scalar}};
constexpr std::array kClip{Parameter{"x", Want::real}, Parameter{"alpha", Want::real_scalar},
                           Parameter{"beta", Want::real_scalar}};
constexpr std::array kGelu{Parameter{"x", Want::real}, Parameter{"mode", Want::text, kOptional}};
constexpr std::array kCast{Parameter{"x", Want::any}, Parameter{"dtype", Want::text}};
constexpr std::array kSelect{Parameter{"cond", Want::booleans}, Parameter{"a", Want::any}, Parameter{"b", Want::any}};

constexpr std::array kSoftmax{Parameter{"x", Want::real}, Parameter{"axis", Want::integer, kOptional}};
constexpr std::array kReduce{Parameter{"x", Want::real}, Parameter{"axes", Want::integers, kOptional},
                             Parameter{"keep_dims", Want::flag, kOptional}};
constexpr std::array kReduceArg{Parameter{"x", Want::number}, Parameter{"axis", Want::integer, kOptional},
                                Parameter{"keep_dims", Want::flag, kOptional},
                                Parameter{"output_dtype", Want::text, kOptional}};
constexpr std::array kTopk{Parameter{"x", Want::numeric},
                           Parameter{"k", Want::integer, kOptional},
                           Parameter{"axis", Want::integer, kOptional},
                           Parameter{"ascending", Want::flag, kOptional},
                           Parameter{"sort", Want::flag, kOptional},
                           Parameter{"return_indices", Want::flag, kOptional},
                           Parameter{"output_indices_dtype", Want::text, kOptional}};
constexpr std::array kMaxPool{Parameter{"x", Want::real},
                              Parameter{"kernel_sizes", Want::integers},
                              Parameter{"strides", Want::integers, kOptional},
                              Parameter{"pad_type", Want::text},
                              Parameter{"pad", Want::integers, kOptional},
                              Parameter{"ceil_mode", Want::flag, kOptional}};
constexpr std::array kAvgPool{Parameter{"x", Want::real},
                              Parameter{"kernel_sizes", Want::integers},
                              Parameter{"strides", Want::integers, kOptional},
                              Parameter{"pad_type", Want::text},
                              Parameter{"pad", Want::integers, kOptional},
                              Parameter{"ceil_mode", Want::flag, kOptional},
                              Parameter{"exclude_padding_from_average", Want::flag, kOptional}};
constexpr std::array kLayerNorm{Parameter{"x", Want::real}, Parameter{"axes", Want::integers, kOptional},
                                Parameter{"gamma", Want::weights, kOptional},
                                Parameter{"beta", Want::weights, kOptional},
                                Parameter{"epsilon", Want::real_scalar, kOptional}};

constexpr std::array kReshape{Parameter{"x", Want::any}, Parameter{"shape", Want::integers}};
constexpr std::array kTranspose{Parameter{"x", Want::any}, Parameter{"perm", Want::integers}};
constexpr std::array kExpandDims{Parameter{"x", Want::any}, Parameter{"axes", Want::integers}};
constexpr std::array kSqueeze{Parameter{"x", Want::any}, Parameter{"axes", Want::integers, kOptional}};
constexpr std::array kSliceBySize{Parameter{"x", Want::any}, Parameter{"begin", Want::integers},
                                  Parameter{"size", Want::integers}};
constexpr std::array kSliceByIndex{Parameter{"x", Want::any},
                                   Parameter{"begin", Want::integers},
                                   Parameter{"end", Want::integers},
                                   Parameter{"stride", Want::integers, kOptional},
                                   Parameter{"begin_mask", Want::flags, kOptional},
                                   Parameter{"end_mask", Want::flags, kOptional},
                                   Parameter{"squeeze_mask", Want::flags, kOptional}};
constexpr std::array kConcat{Parameter{"values", Want::tuple}, Parameter{"axis", Want::integer},
                             Parameter{"interleave", Want::flag, kOptional}};
constexpr std::array kSplit{Parameter{"x", Want::any}, Parameter{"axis", Want::integer},
                            Parameter{"num_splits", Want::integer, kOptional},
                            Parameter{"split_sizes", Want::integers, kOptional}};
constexpr std::array kStack{Parameter{"values", Want::tuple}, Parameter{"axis", Want::integer}};
constexpr std::array kPad{Parameter{"x", Want::any}, Parameter{"pad", Want::integers},
                          Parameter{"mode", Want::text, kOptional},
                          Parameter{"constant_val", Want::real_scalar, kOptional}};
constexpr std::array kTile{Parameter{"x", Want::any}, Parameter{"reps", Want::integers}};
constexpr std::array kGather{
    Parameter{"x", Want::any}, Parameter{"indices", Want::indices}, Parameter{"axis", Want::integer, kOptional},
    Parameter{"batch_dims", Want::integer, kOptional}, Parameter{"validate_indices", Want::flag, kOptional}};
constexpr std::array kGatherAlongAxis{Parameter{"x", Want::any}, Parameter{"indices", Want::indices},
                                      Parameter{"axis", Want::integer, kOptional},
                                      Parameter{"validate_indices", Want::flag, kOptional}};
constexpr std::array kRange{Parameter{"start", Want::number_scalar}, Parameter{"end", Want::number_scalar},
                            Parameter{"step", Want::number_scalar}};

constexpr std::array<OpSpec, kOpCount> kSpecs{{
    {OpKind::constant, "const", kConstant, infer_constant, true},
    {OpKind::conv, "conv", kConv, infer_conv},
    {OpKind::matmul, "matmul", kMatmul, infer_matmul},
    {OpKind::linear, "linear", kLinear, infer_linear},
    {OpKind::einsum, "einsum", kEinsum, infer_einsum},
    {OpKind::add, "add", kNumberPair, infer_binary},
    {OpKind::sub, "sub", kNumberPair, infer_binary},
    {OpKind::mul, "mul", kNumberPair, infer_binary},
    {OpKind::real_div, "real_div", kRealPair, infer_binary},
    {OpKind::pow, "pow", kRealPair, infer_binary},
    {OpKind::maximum, "maximum", kRealPair, infer_binary},
    {OpKind::minimum, "minimum", kRealPair, infer_binary},
    {OpKind::greater, "greater", kNumberPair, infer_compare},
    {OpKind::greater_equal, "greater_equal", kNumberPair, infer_compare},
    {OpKind::less, "less", kNumberPair, infer_compare},
    {OpKind::less_equal, "less_equal", kNumberPair, infer_compare},
    {OpKind::equal, "equal", kNumberPair, infer_compare},
    {OpKind::not_equal, "not_equal", kNumberPair, infer_compare},
    {OpKind::floor_div, "floor_div", kNumberPair, infer_binary},
    {OpKind::mod, "mod", kNumberPair, infer_binary},
    {OpKind::logical_and, "logical_and", kBooleanPair, infer_compare},
    {OpKind::logical_or, "logical_or", kBooleanPair, infer_compare},
    {OpKind::logical_xor, "logical_xor", kBooleanPair, infer_compare},
    {OpKind::abs, "abs", kNumber, infer_same_as_x},
    {OpKind::sign, "sign", kNumber, infer_same_as_x},
    {OpKind::floor, "floor", kReal, infer_same_as_x},
    {OpKind::ceil, "ceil", kReal, infer_same_as_x},
    {OpKind::round, "round", kReal, infer_same_as_x},
    {OpKind::exp, "exp", kReal, infer_same_as_x},
    {OpKind::log, "log", kRealEpsilon, infer_same_as_x},
    {OpKind::sqrt, "sqrt", kReal, infer_same_as_x},
    {OpKind::rsqrt, "rsqrt", kRealEpsilon, infer_same_as_x},
    {OpKind::inverse, "inverse", kRealEpsilon, infer_same_as_x},
    {OpKind::square, "square", kNumber, infer_same_as_x},
    {OpKind::sin, "sin", kReal, infer_same_as_x},
    {OpKind::cos, "cos", kReal, infer_same_as_x},
    {OpKind::tanh, "tanh", kReal, infer_same_as_x},
    {OpKind::erf, "erf", kReal, infer_same_as_x},
    {OpKind::sigmoid, "sigmoid", kReal, infer_same_as_x},
    {OpKind::relu, "relu", kReal, infer_same_as_x},
    {OpKind::leaky_relu, "leaky_relu", kRealAlpha, infer_same_as_x},
    {OpKind::silu, "silu", kReal, infer_same_as_x},
    {OpKind::gelu, "gelu", kGelu, infer_gelu},
    {OpKind::softplus, "softplus", kReal, infer_same_as_x},
    {OpKind::clip, "clip", kClip, infer_clip},
    {OpKind::cast, "cast", kCast, infer_cast},
    {OpKind::identity, "identity", kAny, infer_same_as_x},
    {OpKind::logical_not, "logical_not", kBooleans, infer_same_as_x},
    {OpKind::select, "select", kSelect, infer_select},
    {OpKind::softmax, "softmax", kSoftmax, infer_softmax},
    {OpKind::reduce_sum, "reduce_sum", kReduce, infer_reduce},
    {OpKind::reduce_mean, "reduce_mean", kReduce, infer_reduce},
    {OpKind::reduce_max, "reduce_max", kReduce, infer_reduce},
    {OpKind::reduce_min, "reduce_min", kReduce, infer_reduce},
    {OpKind::reduce_sum_square, "reduce_sum_square", kReduce, infer_reduce},
    {OpKind::reduce_l2_norm, "reduce_l2_norm", kReduce, infer_reduce},
    {OpKind::reduce_argmax, "reduce_argmax", kReduceArg, infer_reduce_arg},
    {OpKind::reduce_argmin, "reduce_argmin", kReduceArg, infer_reduce_arg},
    {OpKind::layer_norm, "layer_norm", kLayerNorm, infer_layer_norm},
    {OpKind::scaled_dot_product_attention, "scaled_dot_product_attention", kAttention, infer_attention},
    {OpKind::topk, "topk", kTopk, infer_topk},
    {OpKind::max_pool, "max_pool", kMaxPool, infer_pool},
    {OpKind::avg_pool, "avg_pool", kAvgPool, infer_pool},
    {OpKind::reshape, "reshape", kReshape, infer_reshape},
    {OpKind::transpose, "transpose", kTranspose, infer_transpose},
    {OpKind::expand_dims, "expand_dims", kExpandDims, infer_expand_dims},
    {OpKind::squeeze, "squeeze", kSqueeze, infer_squeeze},
    {OpKind::slice_by_size, "slice_by_size", kSliceBySize, infer_slice},
    {OpKind::slice_by_index, "slice_by_index", kSliceByIndex, infer_slice},
    {OpKind::concat, "concat", kConcat, infer_concat},
    {OpKind::split, "split", kSplit, infer_split},
    {OpKind::stack, "stack", kStack, infer_stack},
    {OpKind::pad, "pad", kPad, infer_pad},
    {OpKind::tile, "tile", kTile, infer_tile},
    {OpKind::gather, "gather", kGather, infer_gather},
    {OpKind::gather_along_axis, "gather_along_axis", kGatherAlongAxis, infer_gather_along_axis},
    {OpKind::range_1d, "range_1d", kRange, infer_range_1d},
    {OpKind::shape, "shape", kAny, infer_shape},
    {OpKind::quantize, "quantize", kQuantize, infer_quantize},
    {OpKind::dequantize, "dequantize", kDequantizeInput, infer_dequantize},
    {OpKind::constexpr_affine_dequantize, "constexpr_affine_dequantize", kDequantize, infer_dequantize, true},
    {OpKind::constexpr_lut_to_dense, "constexpr_lut_to_dense", kLutToDense, infer_lut_to_dense, true},
    {OpKind::constexpr_sparse_to_dense, "constexpr_sparse_to_dense", kSparseToDense, infer_sparse_to_dense, true},
}};

constexpr bool in_order_of_kinds() {
  for (std::size_t i = 0; i < kSpecs.size(); ++i)
    if (kSpecs[i].kind != static_cast<OpKind>(i)) return false;
  return true;
}
static_assert(in_order_of_kinds(), "the table is indexed by kind");

}  // namespace

std::span<const OpSpec> op_specs() noexcept { return kSpecs; }

const OpSpec& op_spec(OpKind kind) noexcept { return kSpecs[static_cast<std::size_t>(kind)]; }

}  // namespace ane::mil
