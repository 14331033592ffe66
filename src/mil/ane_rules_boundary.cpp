#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "ane_rules_internal.h"

namespace ane::mil::rules {
namespace {

/// Narrower rows gave zeros even with correct padding (A3).
constexpr std::int64_t kLeastWidth = 32;

std::vector<std::string> names_of(const Function& function, const std::vector<ValueId>& ids) {
  std::vector<std::string> names;
  names.reserve(ids.size());
  for (const ValueId id : ids) names.push_back(function.value(id).name);
  return names;
}

void check_order(const Function& function, const std::vector<ValueId>& ids, std::string_view what, Findings& found) {
  const std::vector<std::string> written = names_of(function, ids);
  std::vector<std::string> bound = written;
  std::ranges::sort(bound);
  if (written != bound)
    found.add(fmt::format("function '{}'", function.name),
              fmt::format("its {} are written as ({}), but bind as ({})", what, fmt::join(written, ", "),
                          fmt::join(bound, ", ")));
}

/// Whether query, key and value of an attention are inputs whose names sort differently from their written order.
bool takes_swapped_inputs(const OpView& op) {
  if (op.kind() != OpKind::scaled_dot_product_attention) return false;
  std::vector<ValueId> taken;
  for (const std::string_view argument : {"query", "key", "value"}) {
    if (!is_input(op, op.operand(argument))) return false;
    taken.push_back(std::get<ValueId>(op.operand(argument)));
  }
  std::ranges::sort(taken);  // inputs are numbered in written order
  return !std::ranges::is_sorted(names_of(op.function(), taken));
}

}  // namespace

void whole_rows(const Program& program, const Blobs* /*blobs*/, Findings& found) {
  for_each_boundary(program, [&](const std::string& where, const TensorType& type) {
    if (type.is_scalar() || type.shape.back() < kLeastWidth) return;  // A6, A3
    const SurfaceLayout layout = surface_layout(type);
    if (!layout.is_packed(type.dtype))
      found.add(where, fmt::format("rows of {} have {} bytes and lie {} bytes apart, so packed data are misread",
                                   to_string(type), layout.row_elements * element_bytes(type.dtype), layout.row_bytes));
  });
}

void wide_rows(const Program& program, const Blobs* /*blobs*/, Findings& found) {
  for_each_boundary(program, [&](const std::string& where, const TensorType& type) {
    if (!type.is_scalar() && type.shape.back() < kLeastWidth)
      found.add(where, fmt::format("the last dimension of {} is {}", to_string(type), type.shape.back()));
  });
}

void no_fp32_boundary(const Program& program, const Blobs* /*blobs*/, Findings& found) {
  for_each_boundary(program, [&](const std::string& where, const TensorType& type) {
    if (type.dtype == DType::fp32) found.add(where, fmt::format("it is {}", to_string(type)));
  });
}

void no_integer_boundary(const Program& program, const Blobs* /*blobs*/, Findings& found) {
  for_each_boundary(program, [&](const std::string& where, const TensorType& type) {
    if (!is_float(type.dtype) && type.dtype != DType::boolean)
      found.add(where, fmt::format("it is {}", to_string(type)));
  });
}

void rank_4_boundary(const Program& program, const Blobs* /*blobs*/, Findings& found) {
  for_each_boundary(program, [&](const std::string& where, const TensorType& type) {
    if (type.shape.size() != 4)
      found.add(where, fmt::format("{} has rank {}", to_string(type), type.shape.size()));
    else if (type.shape.front() != 1)
      found.add(where, fmt::format("{} has batch {}", to_string(type), type.shape.front()));
  });
}

void sorted_names(const Program& program, const Blobs* /*blobs*/, Findings& found) {
  for (const Function& function : program.functions) {
    const bool is_attention = std::ranges::any_of(function.operations, [&](const Operation& operation) {
      return takes_swapped_inputs(OpView(function, operation));
    });
    if (!is_attention) check_order(function, function.inputs, "inputs", found);  // else A14
    check_order(function, function.outputs, "outputs", found);
  }
}

void sorted_attention_inputs(const Program& program, const Blobs* /*blobs*/, Findings& found) {
  for_each_op(program, [&](const OpView& op) {
    if (!takes_swapped_inputs(op)) return;
    const std::vector<std::string> written = names_of(op.function(), op.function().inputs);
    std::vector<std::string> bound = written;
    std::ranges::sort(bound);
    found.add(place(op), fmt::format("inputs ({}) bind as ({}), so scores come out transposed",
                                     fmt::join(written, ", "), fmt::join(bound, ", ")));
  });
}

}  // namespace ane::mil::rules
