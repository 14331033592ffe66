#include <algorithm>
#include <array>
#include <string>
#include <unordered_set>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "ane_rules_internal.h"

namespace ane::mil::rules {
namespace {

constexpr std::size_t kMostBlobs = 16;
constexpr std::uint64_t kMostWeightBytes = std::uint64_t{15} << 28;  // 3.75 GiB, the smallest size that failed to load
constexpr std::uint64_t kMostOffset = std::uint64_t{1} << 32;
constexpr std::array kIos17Casts{DType::int8, DType::uint8, DType::int16, DType::uint16};

bool exists(const Function& function, ValueId id) { return id < function.values.size(); }

bool has_its_values(const Function& function) {
  const auto in_range = [&](ValueId id) { return exists(function, id); };
  if (!std::ranges::all_of(function.inputs, in_range) || !std::ranges::all_of(function.outputs, in_range)) return false;
  return std::ranges::all_of(function.operations, [&](const Operation& operation) {
    bool good = std::ranges::all_of(operation.results, in_range);
    for_each_operand(OpView(function, operation), [&](const Operand& operand) {
      if (const auto* id = std::get_if<ValueId>(&operand)) good = good && in_range(*id);
    });
    return good;
  });
}

void check_operands(const OpView& op, Findings& found) {
  for_each_operand(op, [&](const Operand& operand) {
    if (const auto* id = std::get_if<ValueId>(&operand); id != nullptr && !exists(op.function(), *id))
      found.add(place(op), fmt::format("it takes value {} of function '{}', which has {}", *id, op.function().name,
                                       op.function().values.size()));
  });
}

void check_output(const Function& function, ValueId id, Findings& found) {
  if (!exists(function, id)) {
    found.add(fmt::format("function '{}'", function.name),
              fmt::format("it returns value {}, but has {}", id, function.values.size()));
    return;
  }
  const Operation* source = defining_operation(function, id);
  if (source == nullptr || source->kind == OpKind::constant)
    found.add(fmt::format("output '{}'", function.value(id).name), source == nullptr
                                                                       ? "it is an input, not an operation's result"
                                                                       : "it is a const, not an operation's result");
}

/// The operation set in which an operation, or an argument of it, was introduced. Anything not listed existed in ios15.
struct Arrival {
  OpKind kind;
  std::string_view argument;  ///< empty: the operation itself
  OpSet opset;
};

/// Taken from coremltools' definitions, which are ordered by operation set.
constexpr auto kArrivals = std::to_array<Arrival>({
    {OpKind::constexpr_affine_dequantize, "", OpSet::ios16},
    {OpKind::constexpr_lut_to_dense, "", OpSet::ios16},
    {OpKind::constexpr_sparse_to_dense, "", OpSet::ios16},
    {OpKind::gather, "batch_dims", OpSet::ios16},
    {OpKind::topk, "sort", OpSet::ios16},
    {OpKind::topk, "return_indices", OpSet::ios16},
    {OpKind::quantize, "", OpSet::ios17},
    {OpKind::dequantize, "", OpSet::ios17},
    {OpKind::gather, "validate_indices", OpSet::ios17},
    {OpKind::gather_along_axis, "validate_indices", OpSet::ios17},
    {OpKind::reduce_argmax, "output_dtype", OpSet::ios17},
    {OpKind::reduce_argmin, "output_dtype", OpSet::ios17},
    {OpKind::topk, "output_indices_dtype", OpSet::ios17},
    {OpKind::scaled_dot_product_attention, "", OpSet::ios18},
});

/// Describes a feature of `op` that its function's operation set lacks: "argument 'sort' was introduced in ios16".
/// Empty if there is none.
std::string too_recent(const OpView& op) {
  const OpSet declared = op.function().opset;
  const auto words = [](std::string_view what, OpSet opset) {
    return fmt::format("{} was introduced in {}", what, name(opset));
  };
  for (const Arrival& arrival : kArrivals) {
    if (arrival.kind != op.kind() || arrival.opset <= declared) continue;
    if (arrival.argument.empty()) return words("the operation", arrival.opset);
    if (op.has(arrival.argument)) return words(fmt::format("argument '{}'", arrival.argument), arrival.opset);
  }
  if (op.kind() == OpKind::cast && declared < OpSet::ios17) {
    const DType to = op.result_type().dtype;
    if (std::ranges::find(kIos17Casts, to) != kIos17Casts.end())
      return words(fmt::format("cast to {}", name(to)), OpSet::ios17);
  }
  return {};
}

}  // namespace

bool has_its_values(const Program& program) {
  return std::ranges::all_of(program.functions, [](const Function& function) { return has_its_values(function); });
}

void named_attributes(const Program& program, const Blobs* /*blobs*/, Findings& found) {
  for_each_op(program, [&](const OpView& op) {
    std::vector<std::string> in_place;
    for (const Argument& argument : op.operation().arguments)
      if (std::ranges::any_of(argument.operands, [](const Operand& o) { return std::holds_alternative<Constant>(o); }))
        in_place.push_back("'" + argument.name + "'");
    if (!in_place.empty()) found.add(place(op), fmt::format("inline: {}", fmt::join(in_place, ", ")));
  });
}

void unique_live_names(const Program& program, const Blobs* /*blobs*/, Findings& found) {
  for (const Function& function : program.functions) {
    std::unordered_set<std::string_view> names;
    for (const Value& value : function.values)
      if (!names.insert(value.name).second)
        found.add(fmt::format("function '{}'", function.name), fmt::format("'{}' is defined twice", value.name));
    for (const Operation& operation : function.operations) check_operands(OpView(function, operation), found);
    for (const ValueId id : function.outputs) check_output(function, id, found);
  }
}

void one_dialect(const Program& program, const Blobs* /*blobs*/, Findings& found) {
  for_each_op(program, [&](const OpView& op) {
    if (const std::string fault = too_recent(op); !fault.empty())
      found.add(place(op),
                fmt::format("{}, but function '{}' is for {}", fault, op.function().name, name(op.function().opset)));
  });
}

void build_info(const Program& program, const Blobs* /*blobs*/, Findings& found) {
  if (program.version == Version::v1_0 && program.build_info.empty())
    found.add("the program", "it is a program(1.0) without buildInfo");
}

void blob_records(const Program& program, const Blobs* blobs, Findings& found) {
  for_each_blob(program, [&](const OpView& op, const Constant& constant, const BlobRef& ref, const auto&) {
    if (blobs != nullptr) {
      try {
        static_cast<void>(read_blob(*blobs, ref, constant.type));
      } catch (const BlobError& error) {
        found.add(place(op), error.what());
      }
    } else if (ref.offset < kFirstRecord || ref.offset % kFirstRecord != 0) {
      found.add(place(op),
                fmt::format("offset {} of '{}' cannot be a record's: those lie at multiples of 64 from 64 on",
                            ref.offset, ref.path));
    } else if (ref.offset == kFirstData) {
      found.add(place(op), fmt::format("offset {} of '{}' is that of the first tensor's data", ref.offset, ref.path));
    }
  });
}

void few_blobs(const Program& program, const Blobs* /*blobs*/, Findings& found) {
  std::size_t blobs = 0;
  for_each_blob(program, [&](const auto&...) { ++blobs; });
  std::string scalar;
  for_each_op(program, [&](const OpView& op) {
    if (!is_elementwise(op.kind()) || !scalar.empty()) return;
    for_each_operand(op, [&](const Operand& operand) {
      if (op.type(operand).is_scalar() && numbers_of(op, operand) != nullptr) scalar = place(op);
    });
  });
  const std::size_t most = scalar.empty() ? kMostBlobs : kMostBlobs - 1;
  if (blobs <= most) return;
  found.add("the program", fmt::format("{} constants lie in blob files, at most {} may{}", blobs, most,
                                       scalar.empty() ? "" : fmt::format(" beside the scalar of {}", scalar)));
}

void weight_bytes(const Program& program, const Blobs* /*blobs*/, Findings& found) {
  std::uint64_t total = 0;
  for_each_blob(program, [&](const OpView& op, const Constant& constant, const BlobRef& ref, const auto&) {
    total += static_cast<std::uint64_t>(element_count(constant.type.shape)) * element_bytes(constant.type.dtype);
    if (ref.offset >= kMostOffset)
      found.add(place(op), fmt::format("offset {} of '{}' lies beyond 4 GiB", ref.offset, ref.path));
  });
  if (total >= kMostWeightBytes)
    found.add("the program", fmt::format("its constants in blob files have {} bytes", total));
}

}  // namespace ane::mil::rules
