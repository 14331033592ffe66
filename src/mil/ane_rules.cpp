#include "ane/mil/ane_rules.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "ane/mil/geometry.h"

#include "ane_rules_internal.h"
#include "infer.h"

namespace ane::mil {
namespace {

using enum Severity;

constexpr auto kRules = std::to_array<AneRule>({
    {"A1", wrong_result, "the last dimension of every input and output fills whole rows of 64 bytes",
     "make it a multiple of 32 (fp16): pad the data and ignore the rest", rules::whole_rows},
    {"A3", wrong_result, "the last dimension of every input and output is at least 32",
     "widen it to 32 even if the data are narrower, and ignore the rest", rules::wide_rows},
    {"A4", refusal, "inputs and outputs are not fp32: M1 and M5 refuse that", "declare it fp16 and convert on the CPU",
     rules::no_fp32_boundary},
    {"A5", refusal, "inputs and outputs are not integers",
     "pass fp16, which is exact for integers up to 2,048, or keep this part on the CPU", rules::no_integer_boundary},
    {"A6", refusal, "inputs and outputs have rank 4 and batch 1", "lay it out as [1, C, 1, S] and reshape inside",
     rules::rank_4_boundary},
    {"A10", wrong_result, "inputs and outputs bind in the order of their names, not in the written order",
     "name them so that the written order is the sorted one, or use one packed input and one concatenated output",
     rules::sorted_names},
    {"A14", wrong_result, "query, key and value as inputs bind in the order of their names",
     "name them so that the written order is the sorted one (a_query, b_key, c_value), or pack them into one input",
     rules::sorted_attention_inputs},
    {"A20", wrong_result, "scaled_dot_product_attention ignores attn_mask",
     "write it out: matmul, scale, add the mask, softmax, matmul", rules::no_attention_mask},
    {"A21", refusal, "every argument of an operation is a named const or a value",
     "define a const with the value and name that", rules::named_attributes},
    {"A22", refusal, "there is no rsqrt, and no sqrt of a reduction's result",
     "use pow with the const exponent -0.5 (or 0.5)", rules::no_rsqrt},
    {"A23", refusal, "there is no gelu", "write 0.5 * x * (1 + tanh(0.79788456 * (x + 0.044715 * x^3)))",
     rules::no_gelu},
    {"A24", refusal, "conv takes no bias", "add a const of shape [1, Co, 1, 1] to its result", rules::no_conv_bias},
    {"A25", refusal, "layer_norm with gamma or beta fails at some widths from 1,024 on",
     "normalise on the CPU, or by reduce_sum, pow and mul", rules::no_wide_layer_norm},
    {"A26", refusal, "reduce_mean and reduce_max over channels fail at some shapes",
     "use reduce_sum and multiply by a scalar; for a maximum move the channels to the last axis",
     rules::no_channel_mean},
    {"A27", refusal, "conv with a weight computed at run time is refused if grouped, slow otherwise",
     "use matmul for weights that are not constants", rules::runtime_conv_weight},
    {"A28", refusal, "M3 Ultra refuses to split and join pairs along the last axis, as RoPE does",
     "multiply by a constant matrix that swaps and negates with matmul; concatenate along channels",
     rules::no_width_moves},
    {"A29", refusal, "M1 refuses a constant operand of a matmul of rank 3",
     "reshape to rank 4 first, where it is in use on all chips", rules::rank_3_constant_matmul},
    {"A30", refusal, "constant tensors in elementwise operations are refused in programs of several functions",
     "put each function into a program of its own, or pass the constant as an input", rules::constants_among_functions},
    {"A31", refusal, "there is no gather, tile or stack",
     "gather on the CPU; instead of tile let matmul broadcast; instead of stack reshape and concat",
     rules::unsupported_ops},
    {"A32", refusal, "conv takes at most 17,408 input channels and 62,080 output channels",
     "split the channels over several convolutions, and add or concatenate", rules::conv_channels},
    {"A33", refusal, "elementwise operations on flat tensors hang M1 above 16,384 elements",
     "reshape to [1, C, 1, S] first", rules::flat_elementwise},
    {"A34", refusal, "softmax fails over an odd number of elements",
     "pad the axis to a multiple of 32 with masked elements", rules::softmax_length},
    {"A36", wrong_result, "an input whose last dimension is 1 broadcasts as zeros",
     "make it a const, or an input that is already broadcast", rules::broadcast_input},
    {"A37", refusal, "every name is defined once, and every output is an operation's result",
     "rename or define it; compute an output from an input by an operation of its own", rules::unique_live_names},
    {"A38", refusal, "one dialect a text: program(1.0)/ios16 has no operations of later sets",
     "write the program as program(1.3) and ios18", rules::one_dialect},
    {"A39", wrong_result, "a BLOBFILE offset names a record that fits the constant",
     "name the record (64 for the first) of a tensor of this type and size", rules::blob_records},
    {"A43", refusal, "a program has at most 16 constants in blob files, 15 beside a scalar operand",
     "write small ones in the text, join weights of one input into one convolution, or split the program",
     rules::few_blobs},
    {"A44", refusal, "weights of a program stay below 3.75 GiB, and records below 4 GiB",
     "split the program; keep one tensor a blob file", rules::weight_bytes},
    {"A46", slow, "layers 5,120 wide or more run 4.7 times slower", "split the layer into narrower kernels",
     rules::layer_width},
    {"A47", slow, "more than 32 MiB for one operation does not fit on chip",
     "split the operation, or shorten the sequence", rules::working_set},
    {"A48", slow, "channel counts that are not multiples of 16 are untried", "round channels up; 64 is customary",
     rules::odd_channels},
    {"A50", slow, "long sums of products are slow", "split the contraction and add the parts", rules::long_contraction},
    {"A54", slow, "many short reductions are slow: cost follows the number of results",
     "arrange the data so that a long axis is reduced", rules::short_reduction},
    {"N1", wrong_result, "the ANE stores fp16 whatever the text says: constants beyond 65,504 are infinite",
     "scale the computation; for masks take -10000", rules::infinite_constants},
    {"N2", wrong_result, "conv and matmul return 0 once a partial sum reaches 32,768",
     "scale the constant down and the result up", rules::huge_factors},
    {"N7", wrong_result, "constants below 2^-14 may be flushed to zero, an epsilon of 1e-5 among them",
     "take 0x1p-14 (6.1e-5) or more, or scale the computation up; for log pass epsilon 0", rules::vanishing_constants},
    {"mask", wrong_result, "a row that is masked out altogether becomes -inf before softmax, and NaN after it",
     "leave one element of each row unmasked, and mask with -10000", rules::masked_rows},
});

constexpr std::array<std::string_view, 3> kSeverityNames{"refusal", "wrong result", "slow"};

}  // namespace

std::string_view name(Severity severity) noexcept { return kSeverityNames[static_cast<std::size_t>(severity)]; }

std::string to_string(const Diagnostic& diagnostic) {
  return fmt::format("{} ({}): {}: {}; {}", diagnostic.rule, name(diagnostic.severity), diagnostic.where,
                     diagnostic.message, diagnostic.remedy);
}

std::span<const AneRule> ane_rules() { return kRules; }

std::vector<Diagnostic> check_for_ane(const Program& program, const Blobs* blobs) {
  std::vector<Diagnostic> diagnostics;
  const bool readable = rules::has_its_values(program);
  for (const AneRule& rule : kRules) {
    if (!readable && rule.check != rules::unique_live_names) continue;
    Findings found(rule, diagnostics);
    rule.check(program, blobs, found);
  }
  return diagnostics;
}

namespace rules {

std::string place(const OpView& op) {
  const SourceLocation where = op.operation().where;
  if (where.line == 0) return label(op);
  return fmt::format("line {}, column {}: {}", where.line, where.column, label(op));
}

const Operation* source_of(const OpView& op, const Operand& operand) {
  const auto* id = std::get_if<ValueId>(&operand);
  return id == nullptr ? nullptr : defining_operation(op.function(), *id);
}

bool is_input(const OpView& op, const Operand& operand) {
  const auto* id = std::get_if<ValueId>(&operand);
  return id != nullptr && std::ranges::find(op.function().inputs, *id) != op.function().inputs.end();
}

const std::vector<float>* numbers_of(const OpView& op, const Operand& operand) {
  const Constant* constant = constant_of(op.function(), operand);
  return constant == nullptr ? nullptr : std::get_if<std::vector<float>>(&constant->data);
}

// The enumerators of OpKind stand in these groups.
bool is_elementwise(OpKind kind) noexcept { return kind >= OpKind::add && kind <= OpKind::select; }
bool is_reduction(OpKind kind) noexcept { return kind >= OpKind::reduce_sum && kind <= OpKind::reduce_l2_norm; }

std::optional<Product> product_of(const OpView& op) {
  switch (op.kind()) {
    case OpKind::conv: {
      const ConvGeometry conv = conv_geometry(op);
      std::int64_t contraction = conv.in_channels / conv.groups;
      for (const ConvDimension& dimension : conv.dimensions) contraction *= dimension.kernel;
      return Product{contraction, conv.out_channels};
    }
    case OpKind::matmul: {
      const Shape& x = op.type("x").shape;
      const Shape& y = op.type("y").shape;
      const bool down = x.size() > 1 && op.flag("transpose_x", false);
      return Product{down ? x[x.size() - 2] : x.back(), y.size() > 1 ? op.result_type().shape.back() : 1};
    }
    case OpKind::linear:
      return Product{op.type("x").shape.back(), op.result_type().shape.back()};
    default:
      return std::nullopt;
  }
}

}  // namespace rules
}  // namespace ane::mil
