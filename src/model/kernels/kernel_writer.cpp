#include "kernels/kernel_writer.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <iterator>
#include <optional>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "ane/core/checked.h"

#include "kernels/matrix_parts.h"
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

/// "q_proj_bias" for "self_attn.q_proj.bias", and "q_norm" for "self_attn.q_norm.weight".
std::string vector_name(std::string_view parameter) {
  const std::size_t suffix = parameter.rfind('.');
  const std::string_view name = short_name(parameter.substr(0, suffix));
  return parameter.substr(suffix) == ".bias" ? fmt::format("{}_bias", name) : std::string(name);
}

std::string parameter_name(std::string_view role) { return fmt::format("{}.weight", role); }

bool adapts(const Adapter& adapter, std::string_view role) {
  return std::ranges::any_of(adapter.modules, [suffix = fmt::format(".{}", role)](const std::string& module) {
    return module.ends_with(suffix);
  });
}

/// The factors for the product with `matrix`, in the order of their use: A and B, or B and A with the transposes.
std::array<Factor, 2> factors_of(const Matrix& matrix) {
  const auto factor = [&](bool is_b, std::size_t length) {
    return Factor{fmt::format("{}_{}", short_name(matrix.role), is_b ? 'b' : 'a'),
                  fmt::format("{}{}", matrix.role, is_b ? kLoraB : kLoraA), length, is_b};
  };
  const bool is_transposed = matrix.use == Weight::transposed;
  return {factor(is_transposed, matrix.in), factor(!is_transposed, matrix.out)};
}

std::vector<PackedLayout::Window> windows_of(const KernelWriter::Activations& tensors, std::size_t seq_len) {
  std::vector<PackedLayout::Window> windows;
  for (const Activation& tensor : tensors)
    windows.push_back({std::string(tensor.name), tensor.channels, tensor.columns == 0 ? seq_len : tensor.columns});
  return windows;
}

/// Tensors of S columns below each other.
PackedLayout stacked(mil::DType element, std::size_t seq_len, const KernelWriter::Activations& tensors) {
  std::vector<std::pair<std::string_view, std::size_t>> segments;
  for (const Activation& tensor : tensors) segments.emplace_back(tensor.name, tensor.channels);
  return {element, seq_len, segments};
}

/// The columns of a vector in a layout of `channels` channels: as many as it takes for all to have the same length.
std::size_t vector_columns(std::size_t length, std::size_t channels) {
  std::size_t columns = ceil_div(length, channels);
  while (length % columns != 0) ++columns;
  return columns;
}

/// What an input contains besides activations.
struct InputWeights {
  std::span<const Matrix> matrices;
  std::span<const Vector> vectors;
  std::span<const Factor> factors;
  std::size_t rank = 0;  ///< of the factors
};

/// Layout of an input with weights next to the tensors. A matrix with as many outputs as the widest tensor has channels
/// is stored unchanged, [out, in]; any other is stored [in, out]. The elements of a vector, and the long side of a
/// factor, run along the channels. Without matrices, whose size depends on them, there are as many channels as it takes
/// for the factors; with matrices, longer factors are stored [rank, length].
PackedLayout beside_weights(mil::DType element, std::vector<PackedLayout::Window> windows, const InputWeights& all,
                            std::vector<WeightSegment>& weights) {
  std::size_t channels = 0;
  for (const PackedLayout::Window& window : windows) channels = std::max(channels, window.channels);
  if (all.matrices.empty())
    for (const Factor& factor : all.factors) channels = std::max(channels, factor.length);
  for (const Matrix& matrix : all.matrices) {
    const bool by_inputs = matrix.in == channels || matrix.out != channels;
    windows.push_back(
        {std::string(short_name(matrix.role)), by_inputs ? matrix.in : matrix.out, by_inputs ? matrix.out : matrix.in});
    weights.push_back(
        {windows.back().name, parameter_name(matrix.role), by_inputs == (matrix.use == Weight::as_stored)});
  }
  for (const Vector& vector : all.vectors) {
    const std::size_t columns = vector_columns(vector.size, channels);
    windows.push_back({vector_name(vector.parameter), vector.size / columns, columns});
    weights.push_back({windows.back().name, std::string(vector.parameter), true});
  }
  for (const Factor& factor : all.factors) {
    const bool along_channels = factor.length <= channels;
    windows.push_back(
        {factor.segment, along_channels ? factor.length : all.rank, along_channels ? all.rank : factor.length});
    weights.push_back({factor.segment, factor.parameter, factor.is_b != along_channels});
  }
  return PackedLayout::along_columns(element, windows);
}

/// Layout of an input with weights below the tensors: matrices [in, out], vectors, and factors [rank, length].
PackedLayout below_activations(mil::DType element, std::span<const PackedLayout::Window> windows,
                               const InputWeights& all, std::vector<WeightSegment>& weights) {
  std::vector<PackedLayout::Window> blocks;
  for (const Matrix& matrix : all.matrices) {
    blocks.push_back({std::string(short_name(matrix.role)), matrix.in, matrix.out});
    weights.push_back({blocks.back().name, parameter_name(matrix.role), matrix.use == Weight::as_stored});
  }
  for (const Vector& vector : all.vectors) {
    blocks.push_back({vector_name(vector.parameter), 1, vector.size});
    weights.push_back({blocks.back().name, std::string(vector.parameter), false});
  }
  for (const Factor& factor : all.factors) {
    blocks.push_back({factor.segment, all.rank, factor.length});
    weights.push_back({factor.segment, factor.parameter, factor.is_b});
  }
  return PackedLayout::along_channels(element, windows, blocks);
}

}  // namespace

KernelWriter::KernelWriter(std::string name, const KernelOptions& options, std::size_t seq_len,
                           const Activations& inputs, std::vector<Matrix> matrices, const Activations& outputs,
                           std::vector<Vector> vectors)
    : mil_(options.element),
      matrices_(std::move(matrices)),
      vectors_(std::move(vectors)),
      adapter_(options.adapter),
      is_dynamic_(options.weights == WeightMode::dynamic),
      packing_(options.packing) {
  definition_.name = std::move(name);
  definition_.output = stacked(options.element, seq_len, outputs);
  std::vector<Factor> factors;
  for (const Matrix& matrix : matrices_)
    if (adapts(adapter_, matrix.role)) std::ranges::move(factors_of(matrix), std::back_inserter(factors));
  InputWeights weights{.matrices = {}, .vectors = {}, .factors = factors, .rank = adapter_.rank};
  if (is_dynamic_) weights = {.matrices = matrices_, .vectors = vectors_, .factors = factors, .rank = adapter_.rank};
  const bool has_weights = !(weights.matrices.empty() && weights.vectors.empty() && factors.empty());
  const bool is_uniform = std::ranges::all_of(inputs, [](const Activation& tensor) { return tensor.columns == 0; });
  const std::vector<PackedLayout::Window> windows = windows_of(inputs, seq_len);
  if (!has_weights && is_uniform) {
    definition_.input = stacked(options.element, seq_len, inputs);
  } else if (packing_ == Packing::channels) {
    definition_.input = below_activations(options.element, windows, weights, definition_.weight_segments);
  } else {
    definition_.input = beside_weights(options.element, windows, weights, definition_.weight_segments);
  }
  pack_ = mil_.input(kInput, definition_.input.type().shape);
}

mil::Var KernelWriter::tensor(std::string_view name) {
  const auto made =
      std::find_if(outputs_.begin(), outputs_.end(), [&](const auto& entry) { return entry.first == name; });
  return made != outputs_.end() ? made->second : window(name);
}

/// The elements of a segment of the input in order: [1, channels, 1, columns], or the rows of a block that it fills.
mil::Var KernelWriter::window(std::string_view name) {
  const PackedLayout& layout = definition_.input;
  const Segment& part = layout.at(name);
  if (part.channels == layout.channels() && part.columns == layout.width()) return pack_;
  if (!layout.is_block(part))
    return mil_.slice(name, pack_, shape_of({0, part.begin, 0, part.first_column}),
                      shape_of({1, part.channels, 1, part.columns}));
  const std::size_t channels_of_rows = part.rows * layout.width() / part.columns;
  const bool is_full = channels_of_rows == part.channels;
  const mil::Var rows = mil_.slice(is_full ? std::string(name) : fmt::format("{}_rows", name), pack_,
                                   shape_of({0, part.begin, 0, 0}), shape_of({1, part.rows, 1, layout.width()}));
  if (is_full) return rows;
  const mil::Var padded =
      mil_.reshape(fmt::format("{}_padded", name), rows, shape_of({1, channels_of_rows, 1, part.columns}));
  return mil_.slice(name, padded, {0, 0, 0, 0}, shape_of({1, part.channels, 1, part.columns}));
}

mil::Var KernelWriter::shaped(std::string_view name, std::string_view segment, const mil::Shape& shape) {
  const mil::Var elements = window(segment);
  return mil_.type(elements).shape == shape ? elements : mil_.reshape(name, elements, shape);
}

const Matrix& KernelWriter::matrix(std::string_view role) const {
  const auto found = std::find_if(matrices_.begin(), matrices_.end(), [&](const Matrix& m) { return m.role == role; });
  assert(found != matrices_.end());
  return *found;
}

mil::Var KernelWriter::project(std::string_view name, mil::Var x, std::string_view role) {
  const Matrix& m = matrix(role);
  assert(mil_.type(x).shape.at(kChannelAxis) == static_cast<std::int64_t>(m.in));
  const std::string bias = fmt::format("{}.bias", role);
  const bool has_bias = std::ranges::find(vectors_, bias, &Vector::parameter) != vectors_.end();
  const bool is_adapted = adapts(adapter_, role);
  const std::string adapted_name = has_bias ? fmt::format("{}_adapted", name) : std::string(name);
  const std::string product_name = has_bias || is_adapted ? fmt::format("{}_product", name) : std::string(name);
  mil::Var product = is_dynamic_ ? project_dynamic(product_name, x, m) : project_baked(product_name, x, m);
  if (is_adapted) product = mil_.add(adapted_name, product, project_low_rank(name, x, m));
  return has_bias ? mil_.add(name, product, vector(bias, shape_of({1, m.out, 1, 1}))) : product;
}

mil::Var KernelWriter::vector(std::string_view parameter, const mil::Shape& shape) {
  assert(std::ranges::find(vectors_, parameter, &Vector::parameter) != vectors_.end());
  const std::string name = vector_name(parameter);
  if (!is_dynamic_) {
    definition_.weights.push_back({blob_path(name), std::string(parameter), false});
    return mil_.blob(name, shape, blob_path(name));
  }
  const std::string shaped_name = fmt::format("{}_shaped", name);
  if (definition_.input.at(name).columns == 1 || packing_ == Packing::channels) return shaped(shaped_name, name, shape);
  const mil::Var in_order = mil_.transpose(fmt::format("{}_in_order", name), window(name), {0, 3, 2, 1});
  return mil_.type(in_order).shape == shape ? in_order : mil_.reshape(shaped_name, in_order, shape);
}

mil::Var KernelWriter::project_baked(std::string_view name, mil::Var x, const Matrix& matrix) {
  const MatrixParts parts =
      matrix_parts(matrix.out, matrix.in, definition_.output.width(), definition_.input.element());
  if (!parts.is_whole()) return project_in_parts(name, x, matrix, parts);
  const bool transposed = matrix.use == Weight::transposed;
  const std::string blob = fmt::format("{}{}", short_name(matrix.role), transposed ? "_t" : "");
  definition_.weights.push_back({blob_path(blob), parameter_name(matrix.role), transposed});
  return mil_.conv1x1(name, x, mil_.blob(blob, shape_of({matrix.out, matrix.in, 1, 1}), blob_path(blob)));
}

mil::Var KernelWriter::project_in_parts(std::string_view name, mil::Var x, const Matrix& matrix,
                                        const MatrixParts& parts) {
  const bool transposed = matrix.use == Weight::transposed;
  const std::string blob = fmt::format("{}{}", short_name(matrix.role), transposed ? "_t" : "");
  const auto seq_len = static_cast<std::size_t>(mil_.type(x).shape.at(3));
  std::vector<mil::Var> pieces;  // of x
  for (const math::Range& in : parts.inputs)
    pieces.push_back(parts.inputs.size() == 1
                         ? x
                         : mil_.slice(fmt::format("{}_in_{}", name, pieces.size()), x, shape_of({0, in.begin, 0, 0}),
                                      shape_of({1, in.size(), 1, seq_len})));
  std::vector<mil::Var> results;
  for (const math::Range& out : parts.outputs) {
    std::optional<mil::Var> sum;
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      const math::Range& in = parts.inputs[i];
      const std::string path = blob_path(fmt::format("{}_{}_{}", blob, results.size(), i));
      definition_.weights.push_back(
          {path, parameter_name(matrix.role), transposed, transposed ? WeightBlock{in, out} : WeightBlock{out, in}});
      const mil::Var product = mil_.conv1x1(
          fmt::format("{}_product_{}_{}", name, results.size(), i), pieces[i],
          mil_.blob(fmt::format("{}_{}_{}", blob, results.size(), i), shape_of({out.size(), in.size(), 1, 1}), path));
      sum = sum ? mil_.add(fmt::format("{}_sum_{}_{}", name, results.size(), i), *sum, product) : product;
    }
    results.push_back(*sum);
  }
  return results.size() == 1 ? results.front() : mil_.concat(fmt::format("{}_whole", name), results, kChannelAxis);
}

// y^T = x^T M^T, in the operations that are known to work on runtime weights (ane.md 7.2).
mil::Var KernelWriter::project_dynamic(std::string_view name, mil::Var x, const Matrix& matrix) {
  const std::string staged_name(short_name(matrix.role));
  const Segment& staged = definition_.input.at(staged_name);
  const mil::Var rows = positions_by_channels(name, x);
  mil::Var weight =
      shaped(fmt::format("{}_matrix", staged_name), staged_name, shape_of({1, 1, staged.channels, staged.columns}));
  const bool by_inputs = staged.channels == matrix.in && staged.columns == matrix.out;
  if (!by_inputs) weight = mil_.transpose(fmt::format("{}_turned", staged_name), weight, {0, 1, 3, 2});
  const mil::Var product = mil_.matmul(fmt::format("{}_rows", name), rows, weight);
  const mil::Var turned = mil_.transpose(fmt::format("{}_turned", name), product, {0, 1, 3, 2});
  return mil_.reshape(name, turned, shape_of({1, matrix.out, 1, definition_.output.width()}));
}

// s B (A x), or s A^T (B^T x) with the transposes. The activations stay channel-first, because S columns are wide
// enough for the engine (ane.md A3), but `rank` columns may not be.
mil::Var KernelWriter::project_low_rank(std::string_view name, mil::Var x, const Matrix& matrix) {
  const std::array<Factor, 2> factors = factors_of(matrix);
  const std::size_t seq_len = definition_.output.width();
  const mil::Var flat = mil_.reshape(fmt::format("{}_flat", name), x, shape_of({1, 1, matrix.in, seq_len}));
  const mil::Var small = mil_.matmul(fmt::format("{}_low_rank", name), factor(factors[0], true), flat);
  const mil::Var scaled =
      mil_.mul(fmt::format("{}_scaled", name), small, mil_.scalar(static_cast<float>(adapter_.scale())));
  const mil::Var large = mil_.matmul(fmt::format("{}_large", name), factor(factors[1], false), scaled);
  return mil_.reshape(fmt::format("{}_adapter", name), large, shape_of({1, matrix.out, 1, seq_len}));
}

/// [1, 1, rank, length], or [1, 1, length, rank] unless `by_rank`.
mil::Var KernelWriter::factor(const Factor& factor, bool by_rank) {
  const Segment& staged = definition_.input.at(factor.segment);
  const mil::Var stored = shaped(fmt::format("{}_matrix", factor.segment), factor.segment,
                                 shape_of({1, 1, staged.channels, staged.columns}));
  const auto weight = std::ranges::find(definition_.weight_segments, factor.segment, &WeightSegment::segment);
  const bool is_stored_by_rank = weight->transposed == factor.is_b;
  if (is_stored_by_rank == by_rank) return stored;
  return mil_.transpose(fmt::format("{}_turned", factor.segment), stored, {0, 1, 3, 2});
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
