#include "kernels/kernel_writer.h"

#include <algorithm>
#include <cassert>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "shape.h"

namespace ane::model {

namespace {

// Surfaces bind in the order of sorted names (ane.md A10), so there is only one input and one output.
constexpr std::string_view kInput = "x";
constexpr std::string_view kOutput = "out";
constexpr int kChannelAxis = 1;

std::string blob_path(std::string_view name) { return fmt::format("@model_path/weights/{}.bin", name); }

/// Shortens "self_attn.q_proj" to "q_proj" for names in a program.
std::string_view short_name(std::string_view role) { return role.substr(role.rfind('.') + 1); }

std::string parameter_name(std::string_view role) { return fmt::format("{}.weight", role); }

/// Layout of an input with matrices next to the tensors. A matrix with as many outputs as the widest tensor has
/// channels is stored unchanged, [out, in]; any other is stored [in, out].
PackedLayout beside_weights(mil::DType element, std::size_t seq_len, KernelWriter::Channels inputs,
                            std::span<const Matrix> matrices, std::vector<WeightSegment>& weights) {
  std::vector<PackedLayout::Window> windows;
  std::size_t channels = 0;
  for (const auto& [name, count] : inputs) {
    windows.push_back({std::string(name), count, seq_len});
    channels = std::max(channels, count);
  }
  for (const Matrix& matrix : matrices) {
    const bool by_inputs = matrix.in == channels || matrix.out != channels;
    windows.push_back(
        {std::string(short_name(matrix.role)), by_inputs ? matrix.in : matrix.out, by_inputs ? matrix.out : matrix.in});
    weights.push_back(
        {windows.back().name, parameter_name(matrix.role), by_inputs == (matrix.use == Weight::as_stored)});
  }
  return PackedLayout::along_columns(element, windows);
}

}  // namespace

KernelWriter::KernelWriter(std::string name, const KernelOptions& options, std::size_t seq_len, Channels inputs,
                           std::initializer_list<Matrix> matrices, Channels outputs)
    : mil_(options.element), matrices_(matrices) {
  definition_.name = std::move(name);
  definition_.output = {options.element, seq_len, outputs};
  definition_.input = options.weights == WeightMode::baked || matrices_.empty()
                          ? PackedLayout(options.element, seq_len, inputs)
                          : beside_weights(options.element, seq_len, inputs, matrices_, definition_.weight_segments);
  pack_ = mil_.input(kInput, definition_.input.type().shape);
}

mil::Var KernelWriter::tensor(std::string_view name) {
  const auto made =
      std::find_if(outputs_.begin(), outputs_.end(), [&](const auto& entry) { return entry.first == name; });
  return made != outputs_.end() ? made->second : window(name);
}

mil::Var KernelWriter::window(std::string_view name) {
  const PackedLayout& layout = definition_.input;
  const Segment& part = layout.at(name);
  if (part.channels == layout.channels() && part.columns == layout.width()) return pack_;
  return mil_.slice(name, pack_, shape_of({0, part.begin, 0, part.first_column}),
                    shape_of({1, part.channels, 1, part.columns}));
}

const Matrix& KernelWriter::matrix(std::string_view role) const {
  const auto found = std::find_if(matrices_.begin(), matrices_.end(), [&](const Matrix& m) { return m.role == role; });
  assert(found != matrices_.end());
  return *found;
}

mil::Var KernelWriter::project(std::string_view name, mil::Var x, std::string_view role) {
  const Matrix& m = matrix(role);
  assert(mil_.type(x).shape.at(kChannelAxis) == static_cast<std::int64_t>(m.in));
  return definition_.weight_segments.empty() ? project_baked(name, x, m) : project_dynamic(name, x, m);
}

mil::Var KernelWriter::project_baked(std::string_view name, mil::Var x, const Matrix& matrix) {
  const bool transposed = matrix.use == Weight::transposed;
  const std::string blob = fmt::format("{}{}", short_name(matrix.role), transposed ? "_t" : "");
  definition_.weights.push_back({blob_path(blob), parameter_name(matrix.role), transposed});
  return mil_.conv1x1(name, x, mil_.blob(blob, shape_of({matrix.out, matrix.in, 1, 1}), blob_path(blob)));
}

// y^T = x^T M^T, in the operations that are known to work on runtime weights (ane.md 7.2).
mil::Var KernelWriter::project_dynamic(std::string_view name, mil::Var x, const Matrix& matrix) {
  const std::string staged_name(short_name(matrix.role));
  const Segment& staged = definition_.input.at(staged_name);
  const mil::Var rows = positions_by_channels(name, x);
  mil::Var weight = mil_.reshape(fmt::format("{}_matrix", staged_name), window(staged_name),
                                 shape_of({1, 1, staged.channels, staged.columns}));
  const bool by_inputs = staged.channels == matrix.in && staged.columns == matrix.out;
  if (!by_inputs) weight = mil_.transpose(fmt::format("{}_turned", staged_name), weight, {0, 1, 3, 2});
  const mil::Var product = mil_.matmul(fmt::format("{}_rows", name), rows, weight);
  const mil::Var turned = mil_.transpose(fmt::format("{}_turned", name), product, {0, 1, 3, 2});
  return mil_.reshape(name, turned, shape_of({1, matrix.out, 1, definition_.output.width()}));
}

/// [1, C, 1, S] -> [1, 1, S, C], once for all products with x.
mil::Var KernelWriter::positions_by_channels(std::string_view name, mil::Var x) {
  if (const auto known = turned_.find(x.id); known != turned_.end()) return known->second;
  const mil::Shape& shape = mil_.type(x).shape;
  const mil::Var flat = mil_.reshape(fmt::format("{}_in", name), x, {1, 1, shape[1], shape[3]});
  return turned_[x.id] = mil_.transpose(fmt::format("{}_in_turned", name), flat, {0, 1, 3, 2});
}

mil::Var KernelWriter::constant(std::string_view name, const mil::Shape& shape, std::vector<float> values) {
  assert(mil::element_count(shape) == static_cast<std::int64_t>(values.size()));
  definition_.constants.push_back({blob_path(name), std::move(values)});
  return mil_.blob(name, shape, blob_path(name));
}

void KernelWriter::output(std::string_view segment, mil::Var value) {
  [[maybe_unused]] const PackedLayout& layout = definition_.output;
  assert(mil_.type(value).shape == shape_of({1, layout.at(segment).channels, 1, layout.width()}));
  outputs_.emplace_back(segment, value);
}

KernelDefinition KernelWriter::finish() && {
  std::vector<mil::Var> values;
  for (const Segment& segment : definition_.output.segments()) {
    const auto found = std::find_if(outputs_.begin(), outputs_.end(),
                                    [&](const auto& output) { return output.first == segment.name; });
    assert(found != outputs_.end());
    values.push_back(found->second);
  }
  const mil::Var out = values.size() == 1 ? values.front() : mil_.concat(kOutput, values, kChannelAxis);
  definition_.program = std::move(mil_).finish({&out, 1});
  return std::move(definition_);
}

}  // namespace ane::model
