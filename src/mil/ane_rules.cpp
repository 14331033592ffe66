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
    {"A4", refusal, "inputs and outputs are not fp32", "declare it fp16 and convert on the CPU",
     rules::no_fp32_boundary, "M1, M5"},
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
    {"A21", note, "inline arguments of an operation were refused once", "define a const with the value and name that",
     rules::named_attributes},
    {"A22", refusal, "rsqrt, inverse and log are given their epsilon",
     "pass epsilon, or use pow with the const exponent -0.5 (for sqrt 0.5)", rules::no_rsqrt},
    {"A23", refusal, "gelu is not supported", "write 0.5 * x * (1 + tanh(0.79788456 * (x + 0.044715 * x^3)))",
     rules::no_gelu},
    {"A24", refusal, "conv takes no bias", "add a const of shape [1, Co, 1, 1] to its result", rules::no_conv_bias},
    {"A25", refusal, "layer_norm with gamma or beta fails at some widths from 1,024 on",
     "normalize on the CPU, or by reduce_sum, pow and mul", rules::no_wide_layer_norm},
    {"A26", note, "reduce_mean and reduce_max over channels fail at some shapes",
     "use reduce_sum and multiply by a scalar; for a maximum move the channels to the last axis",
     rules::no_channel_mean},
    {"A27", wrong_result, "conv may ignore a weight computed at run time, or refuse it if grouped",
     "use matmul for weights that are not constants, and compare with the host first", rules::runtime_conv_weight,
     "M3 Max"},
    {"A28", refusal, "pairs are not split or joined along the last axis, as RoPE does",
     "multiply by a constant matrix that swaps and negates with matmul; concatenate along channels",
     rules::no_width_moves, "M3 Ultra"},
    {"A29", refusal, "a constant operand of a matmul has rank 4",
     "reshape to rank 4 first, where it is in use on all chips", rules::rank_3_constant_matmul, "M1"},
    {"A30", refusal, "constant tensors in elementwise operations are refused in programs of several functions",
     "put each function into a separate program, or pass the constant as an input", rules::constants_among_functions},
    {"A31", refusal, "gather, tile and stack are not supported",
     "gather on the CPU; instead of tile let matmul broadcast; instead of stack reshape and concat",
     rules::unsupported_ops},
    {"A32", refusal, "conv takes at most 17,408 input channels and 62,080 output channels",
     "split the channels over several convolutions, and add or concatenate", rules::conv_channels},
    {"A33", refusal, "elementwise operations on flat tensors hang above 16,384 elements",
     "reshape to [1, C, 1, S] first", rules::flat_elementwise, "M1"},
    {"A34", refusal, "softmax fails over an odd number of elements",
     "pad the axis to a multiple of 32 with masked elements", rules::softmax_length},
    {"A36", wrong_result, "an input whose last dimension is 1 broadcasts as zeros",
     "make it a const, or an input that is already broadcast", rules::broadcast_input},
    {"A37", refusal, "every name is defined once, and every output is an operation's result",
     "rename or define it; compute an output from an input with a separate operation", rules::unique_live_names},
    {"A38", refusal, "a function holds no operations of later sets than its own",
     "write the program as program(1.3) and the function for ios18", rules::one_dialect},
    {"A39", wrong_result, "a BLOBFILE offset names a record that fits the constant",
     "name the record (64 for the first) of a tensor of this type and size", rules::blob_records},
    {"A43", refusal, "a program has at most 16 constants in blob files, 15 beside a scalar operand",
     "write small ones in the text, join weights of one input into one convolution, or split the program",
     rules::few_blobs},
    {"A44", refusal, "weights of a program stay below 3.75 GiB, and records below 4 GiB",
     "split the program; keep one tensor per blob file", rules::weight_bytes},
    {"A46", slow, "layers 5,120 wide or more run 4.7 times slower", "split the layer into narrower kernels",
     rules::layer_width},
    {"A47", slow, "more than 32 MiB for one operation does not fit on chip",
     "split the operation, or shorten the sequence", rules::working_set},
    {"A48", slow, "channel counts that are not multiples of 16 are untested", "round channels up; 64 is customary",
     rules::odd_channels},
    {"A50", slow, "long sums of products are slow", "split the contraction and add the parts", rules::long_contraction},
    {"A54", slow, "many short reductions are slow: cost follows the number of results",
     "arrange the data so that a long axis is reduced", rules::short_reduction},
    {"A55", refusal, "the compiler crashes if a reduction's result is multiplied by 0",
     "omit the product, or write the zeros as a const", rules::reduction_times_zero},
    {"A56", refusal, "sin and cos are not supported", "compute the table on the CPU and pass it as a const or an input",
     rules::no_sine, "M1, M2"},
    {"A57", refusal, "program(1.0) has a buildInfo", "copy the one that ane-train writes, or write program(1.3)",
     rules::build_info},
    {"B3", refusal, "there are at most 65,536 channels, and 65,536 elements (16,384 on M1 to M3) in the last two axes",
     "split the axis over several operations", rules::axis_length},
    {"B4", refusal, "a convolution's kernel is at most 15 wide, on M1 13",
     "split the kernel over several convolutions, and add", rules::kernel_width},
    {"N1", wrong_result, "the ANE stores fp16 whatever the text says: constants beyond 65,504 are infinite",
     "scale the computation; for masks take -10000", rules::infinite_constants},
    {"N2", wrong_result, "conv and matmul return inf, on M3 Ultra 0, once a partial sum reaches 32,768",
     "scale the constant down and the result up", rules::huge_factors},
    {"N7", note, "constants below 2^-14 may be flushed to zero, an epsilon of 1e-5 among them",
     "take 0x1p-14 (6.1e-5) or more, or scale the computation up; for log pass epsilon 0", rules::vanishing_constants},
    {"R3", wrong_result, "a slice that begins inside the last axis turns magnitudes beyond 4,094 into inf",
     "pack along channels, or keep the values small", rules::offset_slices, "M1, M2"},
    {"R4", wrong_result, "round is wrong from 1,024 on", "round smaller numbers, or on the CPU", rules::coarse_round},
    {"mask", wrong_result, "a completely masked row becomes -inf before softmax, and NaN after it",
     "leave one element of each row unmasked, and mask with -10000", rules::masked_rows},
});

constexpr std::array<std::string_view, 4> kSeverityNames{"refusal", "wrong result", "slow", "note"};

/// Whether `chip` ("Apple M3 Ultra") is of one of the families in `chips` ("M1, M3 Ultra").
bool is_among(std::string_view chip, std::string_view chips) {
  constexpr std::string_view kSeparator = ", ";
  while (!chips.empty()) {
    const std::string_view family = chips.substr(0, chips.find(kSeparator));
    const std::size_t at = chip.find(family);
    const std::size_t end = at + family.size();
    if (at != std::string_view::npos && (end == chip.size() || chip[end] == ' ')) return true;
    chips.remove_prefix(std::min(chips.size(), family.size() + kSeparator.size()));
  }
  return false;
}

}  // namespace

std::string_view name(Severity severity) noexcept { return kSeverityNames[static_cast<std::size_t>(severity)]; }

std::string to_string(const Diagnostic& diagnostic) {
  const std::string_view of_chips = diagnostic.chips.empty()                ? ""
                                    : diagnostic.severity == Severity::note ? "; seen on "
                                                                            : " on ";
  return fmt::format("{} ({}{}{}): {}: {}; {}", diagnostic.rule, name(diagnostic.severity), of_chips, diagnostic.chips,
                     diagnostic.where, diagnostic.message, diagnostic.remedy);
}

std::span<const AneRule> ane_rules() { return kRules; }

std::vector<Diagnostic> check_for_ane(const Program& program, const Blobs* blobs, std::string_view chip) {
  std::vector<Diagnostic> diagnostics;
  const bool readable = rules::has_its_values(program);
  for (const AneRule& rule : kRules) {
    if (!readable && rule.check != rules::unique_live_names) continue;
    Findings found(rule, diagnostics);
    rule.check(program, blobs, found);
  }
  for (Diagnostic& diagnostic : diagnostics)
    if (!chip.empty() && !diagnostic.chips.empty() && !is_among(chip, diagnostic.chips))
      diagnostic.severity = Severity::note;
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
  return std::holds_alternative<ValueId>(operand) && source_of(op, operand) == nullptr;
}

const std::vector<float>* numbers_of(const OpView& op, const Operand& operand) {
  const Constant* constant = constant_of(op.function(), operand);
  return constant == nullptr ? nullptr : std::get_if<std::vector<float>>(&constant->data);
}

// Relies on the grouping of OpKind's enumerators.
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
