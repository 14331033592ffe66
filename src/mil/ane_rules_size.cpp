#include <algorithm>
#include <bit>
#include <set>
#include <span>
#include <string>

#include <fmt/format.h>

#include "ane/mil/geometry.h"

#include "ane_rules_internal.h"

namespace ane::mil::rules {
namespace {

constexpr std::int64_t kMostOutputChannels = 62080;
constexpr std::int64_t kMostKernelWidth = 15;
constexpr std::int64_t kMostKernelWidthOfM1 = 13;
constexpr std::int64_t kMostFlatElements = 16384;
constexpr std::size_t kSpatialAxes = 2;
constexpr std::int64_t kLongestAxis = 65536;
constexpr std::int64_t kLongestAxisUntilM3 = 16384;
constexpr std::int64_t kSoftmaxStep = 32;
constexpr std::int64_t kSlowWidth = 5120;
constexpr std::int64_t kChannelStep = 16;
constexpr std::int64_t kShortAxis = 16;
constexpr std::int64_t kManyResults = 4096;

/// The longer of the last two axes.
std::int64_t spatial_length(const Shape& shape) {
  const auto spatial = std::span(shape).last(std::min(shape.size(), kSpatialAxes));
  return spatial.empty() ? 0 : *std::ranges::max_element(spatial);
}

/// Operands and results, each counted once.
std::uint64_t bytes_touched(const OpView& op) {
  std::set<ValueId> values(op.operation().results.begin(), op.operation().results.end());
  for_each_operand(op, [&](const Operand& operand) {
    if (const auto* id = std::get_if<ValueId>(&operand)) values.insert(*id);
  });
  std::uint64_t bytes = 0;
  for (const ValueId id : values) {
    const TensorType& type = op.function().value(id).type;
    bytes += static_cast<std::uint64_t>(element_count(type.shape)) * element_bytes(type.dtype);
  }
  return bytes;
}

/// Calls report(place, shape) for the first value of each function with such a shape, because operations pass axes on.
template <class Predicate, class Report>
void for_first_value(const Program& program, const Predicate& is_such, const Report& report) {
  for (const Function& function : program.functions) {
    const auto is_found = [&](ValueId id) { return is_such(function.value(id).type.shape); };
    if (const auto input = std::ranges::find_if(function.inputs, is_found); input != function.inputs.end()) {
      report(fmt::format("input '{}'", function.value(*input).name), function.value(*input).type.shape);
      continue;
    }
    const auto operation = std::ranges::find_if(function.operations, [&](const Operation& op) {
      return op.kind != OpKind::constant && std::ranges::any_of(op.results, is_found);
    });
    if (operation == function.operations.end()) continue;
    const ValueId result = *std::ranges::find_if(operation->results, is_found);
    report(place(OpView(function, *operation)), function.value(result).type.shape);
  }
}

}  // namespace

void conv_channels(const Program& program, const Blobs* /*blobs*/, Findings& found) {
  for_each_op(program, [&](const OpView& op) {
    if (op.kind() != OpKind::conv) return;
    const ConvGeometry conv = conv_geometry(op);
    if (conv.in_channels > kMostInputChannels)
      found.add(place(op), fmt::format("it has {} input channels", conv.in_channels));
    if (conv.out_channels > kMostOutputChannels)
      found.add(place(op), fmt::format("it has {} output channels", conv.out_channels));
  });
}

void flat_elementwise(const Program& program, const Blobs* /*blobs*/, Findings& found) {
  for_each_op(program, [&](const OpView& op) {
    const Shape& shape = op.result_type().shape;
    if (is_elementwise(op.kind()) && shape.size() <= 2 && element_count(shape) > kMostFlatElements)
      found.add(place(op), fmt::format("its result, {}, has {} elements", to_string(shape), element_count(shape)));
  });
}

void softmax_length(const Program& program, const Blobs* /*blobs*/, Findings& found) {
  for_each_op(program, [&](const OpView& op) {
    if (op.kind() != OpKind::softmax || op.type("x").is_scalar()) return;
    const std::int64_t length = op.type("x").shape[axis_of(op)];
    if (length % kSoftmaxStep != 0 && !std::has_single_bit(static_cast<std::uint64_t>(length)))
      found.add(place(op),
                fmt::format("{} elements, neither a multiple of {} nor a power of two", length, kSoftmaxStep));
  });
}

void layer_width(const Program& program, const Blobs* /*blobs*/, Findings& found) {
  for_each_op(program, [&](const OpView& op) {
    const std::optional<Product> product = product_of(op);
    if (product && std::min(product->contraction, product->results) >= kSlowWidth)
      found.add(place(op), fmt::format("it maps {} channels to {}", product->contraction, product->results));
  });
}

void working_set(const Program& program, const Blobs* /*blobs*/, Findings& found) {
  for (const Function& function : program.functions) {
    // Only the largest operation of a function is reported.
    const Operation* largest = nullptr;
    std::uint64_t most = kOnChipBytes;
    for (const Operation& operation : function.operations) {
      if (operation.kind == OpKind::constant || operation.kind == OpKind::reshape) continue;
      const std::uint64_t bytes = bytes_touched(OpView(function, operation));
      if (bytes <= most) continue;
      most = bytes;
      largest = &operation;
    }
    if (largest != nullptr)
      found.add(place(OpView(function, *largest)), fmt::format("its operands and results have {} MiB", most >> 20));
  }
}

void odd_channels(const Program& program, const Blobs* /*blobs*/, Findings& found) {
  for_each_op(program, [&](const OpView& op) {
    if (op.kind() != OpKind::conv) return;
    const ConvGeometry conv = conv_geometry(op);
    if (conv.in_channels % kChannelStep != 0 || conv.out_channels % kChannelStep != 0)
      found.add(place(op), fmt::format("it maps {} channels to {}", conv.in_channels, conv.out_channels));
  });
}

void long_contraction(const Program& program, const Blobs* /*blobs*/, Findings& found) {
  for_each_op(program, [&](const OpView& op) {
    const std::optional<Product> product = product_of(op);
    if (!product || product->contraction < kLongContraction) return;
    if (op.kind() == OpKind::conv && product->contraction > kMostInputChannels) return;  // A32
    found.add(place(op), fmt::format("each result sums {} products", product->contraction));
  });
}

void short_reduction(const Program& program, const Blobs* /*blobs*/, Findings& found) {
  for_each_op(program, [&](const OpView& op) {
    if (!is_reduction(op.kind())) return;
    const std::int64_t results = element_count(op.result_type().shape);
    const std::int64_t reduced = element_count(op.type("x").shape) / results;
    if (reduced <= kShortAxis && results >= kManyResults)
      found.add(place(op), fmt::format("{} results of {} elements each", results, reduced));
  });
}

void axis_length(const Program& program, const Blobs* /*blobs*/, Findings& found) {
  const auto is_long = [](const Shape& shape) { return spatial_length(shape) > kLongestAxisUntilM3; };
  for_first_value(program, is_long, [&](const std::string& where, const Shape& shape) {
    const std::int64_t length = spatial_length(shape);
    const std::string message = fmt::format("{} has an axis of {}", to_string(shape), length);
    if (length > kLongestAxis) {
      found.add(where, message);
    } else {
      found.add(where, message, Severity::refusal, "M1, M2, M3");
    }
  });
  const auto has_many_channels = [](const Shape& shape) { return shape.size() == 4 && shape[1] > kLongestAxis; };
  for_first_value(program, has_many_channels, [&](const std::string& where, const Shape& shape) {
    found.add(where, fmt::format("{} has {} channels", to_string(shape), shape[1]));
  });
}

void kernel_width(const Program& program, const Blobs* /*blobs*/, Findings& found) {
  for_each_op(program, [&](const OpView& op) {
    if (op.kind() != OpKind::conv) return;
    const std::int64_t width = conv_geometry(op).dimensions.back().kernel;
    const std::string message = fmt::format("its kernel is {} wide", width);
    if (width > kMostKernelWidth) {
      found.add(place(op), message);
    } else if (width > kMostKernelWidthOfM1) {
      found.add(place(op), message, Severity::refusal, "M1");
    }
  });
}

}  // namespace ane::mil::rules
