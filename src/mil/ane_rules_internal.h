#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "ane/mil/ane_rules.h"
#include "ane/mil/constants.h"
#include "ane/mil/op_view.h"

/// Shared by the rule functions. Each function checks one rule; the table in ane_rules.cpp has its ID and texts.
namespace ane::mil {

/// Turns the findings of a rule into diagnostics with the rule's ID, severity and remedy.
class Findings {
 public:
  Findings(const AneRule& rule, std::vector<Diagnostic>& diagnostics) : rule_(&rule), diagnostics_(&diagnostics) {}

  void add(std::string where, std::string message) { add(std::move(where), std::move(message), rule_->severity); }
  void add(std::string where, std::string message, Severity severity) {
    add(std::move(where), std::move(message), severity, rule_->chips);
  }
  void add(std::string where, std::string message, Severity severity, std::string_view chips) {
    diagnostics_->push_back({std::string(rule_->id), severity, std::move(where), std::move(message),
                             std::string(rule_->remedy), std::string(chips)});
  }

 private:
  const AneRule* rule_;
  std::vector<Diagnostic>* diagnostics_;
};

namespace rules {

/// "line 12, column 9: op 'r' (rsqrt)"; a built program has no lines.
[[nodiscard]] std::string place(const OpView& op);

template <typename Visit>
void for_each_op(const Program& program, const Visit& visit) {
  for (const Function& function : program.functions)
    for (const Operation& operation : function.operations) visit(OpView(function, operation));
}

/// Calls visit("input 'x'", type) for every input and output of every function.
template <typename Visit>
void for_each_boundary(const Program& program, const Visit& visit) {
  for (const Function& function : program.functions) {
    for (const ValueId id : function.inputs) visit("input '" + function.value(id).name + "'", function.value(id).type);
    for (const ValueId id : function.outputs)
      visit("output '" + function.value(id).name + "'", function.value(id).type);
  }
}

/// Calls visit(operand) for every operand of an operation's arguments.
template <typename Visit>
void for_each_operand(const OpView& op, const Visit& visit) {
  for (const Argument& argument : op.operation().arguments)
    for (const Operand& operand : argument.operands) visit(operand);
}

/// The operation that computes `operand`; null for an inline constant and for a function's input.
[[nodiscard]] const Operation* source_of(const OpView& op, const Operand& operand);
[[nodiscard]] bool is_input(const OpView& op, const Operand& operand);
/// The numbers of a constant in the text; null for any other operand.
[[nodiscard]] const std::vector<float>* numbers_of(const OpView& op, const Operand& operand);

[[nodiscard]] bool is_elementwise(OpKind kind) noexcept;
[[nodiscard]] bool is_reduction(OpKind kind) noexcept;

/// A product of conv, matmul or linear: each of `results` values per position is a sum of `contraction` products.
struct Product {
  std::int64_t contraction = 0;
  std::int64_t results = 0;
};
[[nodiscard]] std::optional<Product> product_of(const OpView& op);

/// Largest number of input channels that a convolution is known to compile with (A32).
inline constexpr std::int64_t kMostInputChannels = 17408;

using Rule = void(const Program& program, const Blobs* blobs, Findings& found);

// ane_rules_boundary.cpp: inputs and outputs of the program.
Rule whole_rows, wide_rows, no_fp32_boundary, no_integer_boundary, rank_4_boundary, sorted_names,
    sorted_attention_inputs;
// ane_rules_program.cpp: names, dialects, constants.
Rule named_attributes, unique_live_names, one_dialect, blob_records, few_blobs, weight_bytes, build_info;
// ane_rules_ops.cpp: operations and their forms.
Rule no_attention_mask, no_rsqrt, no_gelu, no_conv_bias, no_wide_layer_norm, no_channel_mean, runtime_conv_weight,
    no_width_moves, rank_3_constant_matmul, constants_among_functions, unsupported_ops, broadcast_input, no_sine,
    reduction_times_zero;
// ane_rules_size.cpp: sizes that fail or are slow.
Rule conv_channels, flat_elementwise, softmax_length, layer_width, working_set, odd_channels, long_contraction,
    short_reduction, axis_length, kernel_width;
// ane_rules_numerics.cpp: values that fp16, the multiplier or an operation cannot represent.
Rule infinite_constants, huge_factors, vanishing_constants, offset_slices, coarse_round, masked_rows;

/// Whether every operand, input and output names a value of its function, a precondition of all other rules.
[[nodiscard]] bool has_its_values(const Program& program);

}  // namespace rules
}  // namespace ane::mil
