#include "ane/model/kernel_definition.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include <fmt/format.h>

#include "ane/math/half.h"
#include "ane/mil/text.h"

namespace ane::model {

namespace {

std::span<math::Half> as_halves(std::span<std::byte> bytes) {
  return {reinterpret_cast<math::Half*>(bytes.data()), bytes.size() / sizeof(math::Half)};
}

std::span<float> as_floats(std::span<std::byte> bytes) {
  return {reinterpret_cast<float*>(bytes.data()), bytes.size() / sizeof(float)};
}

void transpose(std::span<const float> from, std::size_t rows, std::size_t columns, std::span<float> to) {
  for (std::size_t row = 0; row < rows; ++row)
    for (std::size_t column = 0; column < columns; ++column) to[column * rows + row] = from[row * columns + column];
}

std::span<std::byte> make_blob(mil::DType element, std::size_t count, mil::BlobFile& file) {
  return mil::single_blob(element, count * mil::element_bytes(element), file);
}

void fill(mil::DType element, std::span<const float> values, std::span<std::byte> data) {
  if (element == mil::DType::fp16) {
    math::to_half(values, as_halves(data));
  } else {
    std::memcpy(data.data(), values.data(), values.size_bytes());
  }
}

void fill_transposed(mil::DType element, std::span<const float> values, std::size_t rows, std::size_t columns,
                     std::span<std::byte> data) {
  if (element == mil::DType::fp16) {
    math::transpose_to_half(values, rows, columns, as_halves(data));
  } else {
    transpose(values, rows, columns, as_floats(data));
  }
}

/// A block of a matrix with `columns` columns.
std::vector<float> values_of_block(std::span<const float> values, std::size_t columns, const WeightBlock& block) {
  std::vector<float> part;
  part.reserve(block.rows.size() * block.columns.size());
  for (std::size_t row = block.rows.begin; row < block.rows.end; ++row) {
    const std::span<const float> found = values.subspan(row * columns + block.columns.begin, block.columns.size());
    part.insert(part.end(), found.begin(), found.end());
  }
  return part;
}

/// Number of elements of all constants in blob files.
std::size_t blob_elements(const mil::Function& function) {
  std::size_t elements = 0;
  for (const mil::Operation& operation : function.operations)
    for (const mil::Argument& attribute : operation.attributes)
      for (const mil::Operand& operand : attribute.operands)
        if (const auto* constant = std::get_if<mil::Constant>(&operand);
            constant != nullptr && std::holds_alternative<mil::BlobRef>(constant->data))
          elements += static_cast<std::size_t>(mil::element_count(constant->type.shape));
  return elements;
}

}  // namespace

bool KernelDefinition::is_weight(std::string_view segment) const noexcept {
  return std::any_of(weight_segments.begin(), weight_segments.end(),
                     [&](const WeightSegment& weight) { return weight.segment == segment; });
}

KernelTemplate::KernelTemplate(const KernelDefinition& definition, mil::DType element)
    : definition_(&definition), element_(element), text_(mil::print(definition.program)) {
  for (const WeightBlob& weight : definition.weights) blobs_.try_emplace(weight.path);
  for (const ConstantBlob& constant : definition.constants) {
    mil::BlobFile& file = blobs_[constant.path];
    fill(element_, constant.values, make_blob(element_, constant.values.size(), file));
  }
}

std::unique_ptr<device::Kernel> KernelTemplate::compile(device::Device& device, std::string_view prefix,
                                                        const ParameterValues& parameters, math::ThreadPool& threads) {
  pack(prefix, parameters, threads);
  try {
    return device.compile(definition_->name, text_, blobs_);
  } catch (const device::CompileError& error) {
    throw device::CompileError(fmt::format("kernel '{}{}': {}", prefix, definition_->name, error.what()));
  }
}

void KernelTemplate::pack(std::string_view prefix, const ParameterValues& parameters, math::ThreadPool& threads) {
  threads.parallel_for(definition_->weights.size(), 1, [&](math::Range range) {
    for (std::size_t index = range.begin; index < range.end; ++index)
      pack(definition_->weights[index], prefix, parameters);
  });
}

void KernelTemplate::pack(const WeightBlob& weight, std::string_view prefix, const ParameterValues& parameters) {
  const Parameter* parameter = parameters.find(fmt::format("{}{}", prefix, weight.parameter));
  assert(parameter != nullptr && (parameter->shape.size() == 2 || !weight.transposed));
  std::vector<float> buffer;
  std::span<const float> values = parameters.read(*parameter, buffer);
  auto rows = static_cast<std::size_t>(parameter->shape[0]);
  std::size_t columns = parameter->count / rows;
  std::vector<float> block;
  if (weight.block) {
    block = values_of_block(values, columns, *weight.block);
    values = block;
    rows = weight.block->rows.size();
    columns = weight.block->columns.size();
  }
  const std::span<std::byte> data = make_blob(element_, values.size(), blobs_.find(weight.path)->second);
  if (weight.transposed) {
    fill_transposed(element_, values, rows, columns, data);
  } else {
    fill(element_, values, data);
  }
}

std::size_t KernelTemplate::blob_bytes() const {
  return blob_elements(definition_->program.main()) * mil::element_bytes(element_);
}

}  // namespace ane::model
