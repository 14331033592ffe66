#include "kernel_writer.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include <fmt/format.h>

#include "shape.h"

namespace ane::model {

namespace {

// A sorted name is what binds a surface (ane.md A10), so there is one input and one output.
constexpr std::string_view kInput = "x";
constexpr std::string_view kOutput = "out";
constexpr int kChannelAxis = 1;

std::string blob_path(std::string_view name) { return fmt::format("@model_path/weights/{}.bin", name); }

}  // namespace

KernelWriter::KernelWriter(std::string name, PackedLayout input, PackedLayout output) : mil_(input.element()) {
  pack_ = mil_.input(kInput, input.type().shape);
  definition_.name = std::move(name);
  definition_.input = std::move(input);
  definition_.output = std::move(output);
}

mil::Var KernelWriter::tensor(std::string_view name) {
  const auto made =
      std::find_if(outputs_.begin(), outputs_.end(), [&](const auto& entry) { return entry.first == name; });
  if (made != outputs_.end()) return made->second;
  const PackedLayout& layout = definition_.input;
  const Segment& part = layout.at(name);
  if (part.channels == layout.channels()) return pack_;
  return mil_.slice(name, pack_, shape_of({0, part.begin, 0, 0}), shape_of({1, part.channels, 1, layout.seq_len()}));
}

mil::Var KernelWriter::project(std::string_view name, mil::Var x, std::string_view role, std::size_t out_channels,
                               Weight weight) {
  const bool transposed = weight == Weight::transposed;
  const auto in_channels = static_cast<std::size_t>(mil_.type(x).shape.at(kChannelAxis));
  const std::string blob = fmt::format("{}{}", role.substr(role.rfind('.') + 1), transposed ? "_t" : "");
  definition_.weights.push_back({blob_path(blob), fmt::format("{}.weight", role), transposed});
  return mil_.conv1x1(name, x, mil_.blob(blob, shape_of({out_channels, in_channels, 1, 1}), blob_path(blob)));
}

mil::Var KernelWriter::constant(std::string_view name, const mil::Shape& shape, std::vector<float> values) {
  assert(mil::element_count(shape) == static_cast<std::int64_t>(values.size()));
  definition_.constants.push_back({blob_path(name), std::move(values)});
  return mil_.blob(name, shape, blob_path(name));
}

void KernelWriter::output(std::string_view segment, mil::Var value) {
  [[maybe_unused]] const PackedLayout& layout = definition_.output;
  assert(mil_.type(value).shape == shape_of({1, layout.at(segment).channels, 1, layout.seq_len()}));
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
