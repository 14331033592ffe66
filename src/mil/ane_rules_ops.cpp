#include <algorithm>
#include <array>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include <fmt/format.h>

#include "ane/mil/geometry.h"

#include "ane_rules_internal.h"
#include "infer.h"

namespace ane::mil::rules {
namespace {

constexpr std::int64_t kLayerNormWidth = 1024;

/// Tracks which values of a function are a reduction's result, possibly with constants added or multiplied. Operations
/// must be noted in order.
class Reductions {
 public:
  explicit Reductions(const Function& function) : contains_(function.values.size()) {}

  [[nodiscard]] bool contains(const Operand& operand) const {
    const auto* id = std::get_if<ValueId>(&operand);
    return id != nullptr && contains_[*id];
  }
  void note(const OpView& op) {
    if (is_reduction(op.kind()) || passes_on(op))
      for (const ValueId id : op.operation().results) contains_[id] = true;
  }

 private:
  [[nodiscard]] bool passes_on(const OpView& op) const {
    if (!is_elementwise(op.kind()) || !op.has("x") || !op.has("y")) return false;
    const Operand& x = op.operand("x");
    const Operand& y = op.operand("y");
    return (contains(y) && is_compile_time(op, x)) || (contains(x) && is_compile_time(op, y));
  }

  std::vector<bool> contains_;
};

/// Calls visit(op, reductions) for every operation, where `reductions` covers the operations before it.
template <typename Visit>
void for_each_op_after_reductions(const Program& program, const Visit& visit) {
  for (const Function& function : program.functions) {
    Reductions reductions(function);
    for (const Operation& operation : function.operations) {
      const OpView op(function, operation);
      visit(op, reductions);
      reductions.note(op);
    }
  }
}

/// Describes what `op` does along the last axis that the M3 Ultra refuses; empty if nothing.
std::string width_move(const OpView& op) {
  const Shape& result = op.result_type().shape;
  switch (op.kind()) {
    case OpKind::reshape: {
      const Shape& x = op.type("x").shape;
      if (result.size() > 1 && result.back() == 2 && (x.empty() || x.back() != 2))
        return fmt::format("it splits the last axis of {} into pairs: {}", to_string(x), to_string(result));
      return {};
    }
    case OpKind::slice_by_size:
    case OpKind::slice_by_index: {
      const Shape& x = op.type("x").shape;
      const SliceAxis last = slice_geometry(op).back();
      if (last.step != 1 || (last.count == 1 && x.back() == 2))
        return fmt::format("it takes every second element along the last axis of {}", to_string(x));
      return {};
    }
    case OpKind::concat:
      if (result.size() == 4 && axis_of(op) + 1 == result.size())
        return fmt::format("it joins {} tensors along the last axis to {}", op.operands("values").size(),
                           to_string(result));
      return {};
    default:
      return {};
  }
}

}  // namespace

void no_attention_mask(const Program& program, const Blobs* /*blobs*/, Findings& found) {
  for_each_op(program, [&](const OpView& op) {
    if (op.kind() == OpKind::scaled_dot_product_attention && op.has("attn_mask"))
      found.add(place(op), fmt::format("it has an attn_mask, {}", to_string(op.type("attn_mask"))));
  });
}

void no_rsqrt(const Program& program, const Blobs* /*blobs*/, Findings& found) {
  for_each_op_after_reductions(program, [&](const OpView& op, const Reductions& reductions) {
    const OpKind kind = op.kind();
    if ((kind == OpKind::rsqrt || kind == OpKind::inverse || kind == OpKind::log) && !op.has("epsilon"))
      found.add(place(op), fmt::format("{} of {} without epsilon", name(kind), to_string(op.type("x"))));
    else if (kind == OpKind::sqrt && reductions.contains(op.operand("x")))
      found.add(place(op), fmt::format("sqrt of a reduction's result, {}, was refused once", to_string(op.type("x"))),
                Severity::note);
  });
}

void no_gelu(const Program& program, const Blobs* /*blobs*/, Findings& found) {
  for_each_op(program, [&](const OpView& op) {
    if (op.kind() == OpKind::gelu) found.add(place(op), fmt::format("gelu of {}", to_string(op.type("x"))));
  });
}

void no_conv_bias(const Program& program, const Blobs* /*blobs*/, Findings& found) {
  for_each_op(program, [&](const OpView& op) {
    if (op.kind() == OpKind::conv && op.has("bias"))
      found.add(place(op), fmt::format("it has a bias, {}", to_string(op.type("bias"))));
  });
}

void no_wide_layer_norm(const Program& program, const Blobs* /*blobs*/, Findings& found) {
  for_each_op(program, [&](const OpView& op) {
    if (op.kind() != OpKind::layer_norm || (!op.has("gamma") && !op.has("beta"))) return;
    const Shape& x = op.type("x").shape;
    std::int64_t width = 1;
    for (const std::size_t axis : axes_of(op)) width *= x[axis];
    if (width >= kLayerNormWidth)
      found.add(place(op), fmt::format("it scales or shifts {} elements of {}", width, to_string(x)));
  });
}

void no_channel_mean(const Program& program, const Blobs* /*blobs*/, Findings& found) {
  for_each_op(program, [&](const OpView& op) {
    if (op.kind() != OpKind::reduce_mean && op.kind() != OpKind::reduce_max) return;
    const std::vector<std::size_t> axes = axes_of(op);
    if (op.type("x").shape.size() == 4 && std::ranges::find(axes, std::size_t{1}) != axes.end())
      found.add(place(op), fmt::format("{} over the {} channels of {}", name(op.kind()), op.type("x").shape[1],
                                       to_string(op.type("x"))));
  });
}

void runtime_conv_weight(const Program& program, const Blobs* /*blobs*/, Findings& found) {
  for_each_op(program, [&](const OpView& op) {
    if (op.kind() != OpKind::conv || is_compile_time(op, op.operand("weight"))) return;
    const std::int64_t groups = op.integer("groups", 1);
    std::string message =
        fmt::format("its weight, {}, is computed at run time; {} groups", to_string(op.type("weight")), groups);
    if (groups > 1) {
      found.add(place(op), std::move(message), Severity::refusal, "M1");
    } else {
      found.add(place(op), std::move(message));
    }
  });
}

void no_width_moves(const Program& program, const Blobs* /*blobs*/, Findings& found) {
  for_each_op(program, [&](const OpView& op) {
    if (std::string move = width_move(op); !move.empty()) found.add(place(op), std::move(move));
  });
}

void rank_3_constant_matmul(const Program& program, const Blobs* /*blobs*/, Findings& found) {
  for_each_op(program, [&](const OpView& op) {
    if (op.kind() != OpKind::matmul || op.result_type().shape.size() >= 4) return;
    for (const std::string_view argument : {"x", "y"})
      if (is_compile_time(op, op.operand(argument)))
        found.add(place(op), fmt::format("its {} is constant, {}, and its result has rank {}", argument,
                                         to_string(op.type(argument)), op.result_type().shape.size()));
  });
}

void constants_among_functions(const Program& program, const Blobs* /*blobs*/, Findings& found) {
  if (program.functions.size() < 2) return;
  for_each_op(program, [&](const OpView& op) {
    if (!is_elementwise(op.kind())) return;
    for_each_operand(op, [&](const Operand& operand) {
      const Shape& shape = op.type(operand).shape;
      if (shape.size() == 4 && is_compile_time(op, operand))
        found.add(place(op), fmt::format("it takes a constant {} in a program of {} functions", to_string(shape),
                                         program.functions.size()));
    });
  });
}

void unsupported_ops(const Program& program, const Blobs* /*blobs*/, Findings& found) {
  for_each_op(program, [&](const OpView& op) {
    if (op.kind() == OpKind::gather || op.kind() == OpKind::stack)
      found.add(place(op), fmt::format("{} to {}", name(op.kind()), to_string(op.result_type())));
    else if (op.kind() == OpKind::tile)
      found.add(place(op), fmt::format("tile to {}; where it compiles (M3 Max), what the process compiles or runs "
                                       "afterwards fails",
                                       to_string(op.result_type())));
  });
}

void no_sine(const Program& program, const Blobs* /*blobs*/, Findings& found) {
  for_each_op(program, [&](const OpView& op) {
    if (op.kind() == OpKind::sin || op.kind() == OpKind::cos)
      found.add(place(op), fmt::format("{} of {}", name(op.kind()), to_string(op.type("x"))));
  });
}

void reduction_times_zero(const Program& program, const Blobs* /*blobs*/, Findings& found) {
  std::unordered_map<const std::vector<float>*, bool> zeros;  // cached: operations may share constants
  for_each_op_after_reductions(program, [&](const OpView& op, const Reductions& reductions) {
    if (op.kind() != OpKind::mul) return;
    const auto is_zero = [&](const Operand& operand) {
      const std::vector<float>* numbers = numbers_of(op, operand);
      if (numbers == nullptr) return false;
      const auto [entry, is_new] = zeros.try_emplace(numbers, false);
      if (is_new) entry->second = std::ranges::all_of(*numbers, [](float value) { return value == 0; });
      return entry->second;
    };
    const Operand& x = op.operand("x");
    const Operand& y = op.operand("y");
    if ((reductions.contains(y) && is_zero(x)) || (reductions.contains(x) && is_zero(y)))
      found.add(place(op), fmt::format("it multiplies a reduction's result, {}, by 0", to_string(op.result_type())));
  });
}

void broadcast_input(const Program& program, const Blobs* /*blobs*/, Findings& found) {
  for_each_op(program, [&](const OpView& op) {
    if (!is_elementwise(op.kind()) || op.result_type().is_scalar() || op.result_type().shape.back() == 1) return;
    for_each_operand(op, [&](const Operand& operand) {
      const Shape& shape = op.type(operand).shape;
      if (!shape.empty() && shape.back() == 1 && is_input(op, operand))
        found.add(place(op), fmt::format("it stretches input '{}', {}, to {}",
                                         op.function().value(std::get<ValueId>(operand)).name, to_string(shape),
                                         to_string(op.result_type().shape)));
    });
  });
}

}  // namespace ane::mil::rules
