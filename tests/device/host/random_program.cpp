#include "random_program.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include <fmt/format.h>

#include "ane/mil/verify.h"

#include "harness.h"

namespace ane::device::host {
namespace {

using mil::Argument;
using mil::Constant;
using mil::DType;
using mil::Operand;
using mil::OpKind;
using mil::Shape;
using mil::ValueId;

constexpr std::int64_t kMostElements = 2100;            ///< of generated values
constexpr std::int64_t kMostResultElements = 3 * 2100;  ///< of results of operations
constexpr int kAttempts = 20;

/// An operation with larger results is undone: sums of a few values below it are exact in fp16 and fp32.
double largest_allowed(DType dtype) { return dtype == DType::fp16 ? 2000 : 0x1p20; }

Constant literal(const reference::Tensor& elements) {
  if (mil::is_float(elements.type.dtype)) {
    std::vector<float> reals;
    for (const double element : elements.data) reals.push_back(static_cast<float>(element));
    return {elements.type, reals};
  }
  std::vector<std::int64_t> integers;
  for (const double element : elements.data) integers.push_back(static_cast<std::int64_t>(element));
  return {elements.type, integers};
}

}  // namespace

ProgramGrower::ProgramGrower(std::uint64_t seed) : random_(seed), element_(DType::fp32) {
  if (chance(40)) element_ = DType::fp16;
  program_.functions.emplace_back().name = "main";
}

// Choices.

std::int64_t ProgramGrower::between(std::int64_t low, std::int64_t high) {
  // Not a distribution of the standard library: those differ between implementations.
  const auto choices = static_cast<std::uint64_t>(high - low + 1);
  if (choices == 0) throw std::logic_error("there is nothing to choose from");
  return low + static_cast<std::int64_t>(random_() % choices);
}

std::int64_t ProgramGrower::dimension() {
  static const std::vector<std::int64_t> small{1, 1, 1, 2, 2, 3, 3, 4, 5, 7, 8, 16, 17};
  static const std::vector<std::int64_t> blocks{63, 64, 65, 255, 256, 257, 1023, 1024, 1025};
  return one_of(chance(12) ? blocks : small);
}

Shape ProgramGrower::shape(std::size_t least_rank, std::size_t most_rank) {
  while (true) {
    Shape result(
        static_cast<std::size_t>(between(static_cast<std::int64_t>(least_rank), static_cast<std::int64_t>(most_rank))));
    std::int64_t elements = 1;
    for (std::int64_t& dim : result) elements *= dim = dimension();
    if (elements <= kMostElements) return result;
  }
}

Shape ProgramGrower::broadcastable_to(const Shape& shape) {
  Shape result(shape.begin() + between(0, static_cast<std::int64_t>(shape.size())), shape.end());
  if (chance(50)) result = shape;
  for (std::int64_t& dim : result) {
    if (chance(25)) dim = 1;
  }
  return result;
}

std::vector<std::int64_t> ProgramGrower::axes_of(std::size_t rank) {
  const auto r = static_cast<std::int64_t>(rank);
  std::vector<std::int64_t> axes;
  while (axes.empty()) {
    for (std::int64_t axis = 0; axis < r; ++axis) {
      if (chance(40)) axes.push_back(chance(30) ? axis - r : axis);
    }
  }
  return axes;
}

// Values.

std::optional<ValueId> ProgramGrower::find(const Predicate& fits) {
  std::vector<ValueId> fitting;
  for (std::size_t id = first_value_; id < errors_.size(); ++id) {
    const auto value = static_cast<ValueId>(id);
    if (std::isfinite(error(value)) && fits(value)) fitting.push_back(value);
  }
  if (fitting.empty()) return std::nullopt;
  const auto count = static_cast<std::int64_t>(fitting.size());
  const std::int64_t back = std::min({between(0, count - 1), between(0, count - 1), between(0, count - 1)});
  return fitting[static_cast<std::size_t>(count - 1 - back)];
}

double ProgramGrower::least(ValueId value) const {
  const std::vector<double>& data = tensor(value).data;
  return *std::min_element(data.begin(), data.end());
}

double ProgramGrower::largest(ValueId value) const {
  double most = 0;
  for (const double element : tensor(value).data) most = std::max(most, std::abs(element));
  return most;
}

reference::Tensor ProgramGrower::elements(const mil::TensorType& type) {
  const std::int64_t most = type.dtype == DType::boolean ? 1 : 4;
  const bool has_sign = mil::is_float(type.dtype) || type.dtype == DType::int32 || type.dtype == DType::int16 ||
                        type.dtype == DType::int8;
  const auto any = [&] { return static_cast<double>(between(has_sign ? -most : 0, most)); };
  reference::Tensor result{type, {}};
  const auto count = static_cast<std::size_t>(mil::element_count(type.shape));
  if (chance(10)) {
    result.data.assign(count, any());
  } else if (chance(10) && type.shape.size() >= 2) {  // each row has at most one nonzero element
    result.data.assign(count, 0);
    const auto columns = static_cast<std::size_t>(type.shape.back());
    for (std::size_t row = 0; row < count; row += columns) {
      result.data[row + static_cast<std::size_t>(between(0, type.shape.back() - 1))] = any();
    }
  } else {
    for (std::size_t i = 0; i < count; ++i) result.data.push_back(any());
  }
  return result;
}

ValueId ProgramGrower::define(const reference::Tensor& value, double error) {
  const auto id = static_cast<ValueId>(main().values.size());
  main().values.push_back({fmt::format("v{}", id), value.type});
  values_[id] = value;
  errors_.push_back(error);
  return id;
}

Constant ProgramGrower::in_blob(const reference::Tensor& elements) {
  const std::string path = fmt::format("@model_path/w{}.bin", blobs_.size());
  blobs_.emplace(path, blob_file(elements));
  return {elements.type, mil::BlobRef{path, mil::kFirstRecord}};
}

Argument ProgramGrower::data(std::string_view name, const reference::Tensor& elements) {
  const bool blob = elements.type.dtype != DType::boolean && chance(40);
  return {std::string(name), {Operand(blob ? in_blob(elements) : literal(elements))}, false};
}

ValueId ProgramGrower::constant(reference::Tensor elements) {
  mil::Operation operation;
  operation.kind = OpKind::constant;
  operation.attributes = {data("val", elements)};
  const ValueId result = define(elements, 0);
  operation.results = {result};
  operation.name = main().value(result).name;
  main().operations.push_back(std::move(operation));
  return result;
}

/// elements + 0 * input, in a float type; others are converted from it.
ValueId ProgramGrower::at_run_time(const reference::Tensor& elements) {
  const Effect exact{.gain = 1, .own = 0, .exact = true};
  reference::Tensor reals = elements;
  reals.type.dtype = element_;
  const ValueId sum = add(OpKind::add, {argument("x", constant(reals)), argument("y", zero_)}, exact).front();
  if (elements.type.dtype == element_) return sum;
  const std::string dtype(mil::name(elements.type.dtype));
  return add(OpKind::cast, {argument("x", sum), text("dtype", dtype)}, exact).front();
}

ValueId ProgramGrower::value(const mil::TensorType& type) {
  // Derived values must not be undone because of their size.
  if (chance(35) || mil::element_count(type.shape) > kMostElements) return constant(elements(type));
  const auto source = find([&](ValueId value) {
    const mil::TensorType& found = this->type(value);
    return found.dtype == type.dtype && is_exact(value) && mil::element_count(found.shape) <= kMostResultElements;
  });
  return source && chance(75) ? of_others(type, *source) : at_run_time(elements(type));
}

/// The elements of `source`, repeated or truncated, in another shape.
ValueId ProgramGrower::of_others(const mil::TensorType& wanted, ValueId source) {
  const Effect exact{.gain = 1, .own = 0, .exact = true};
  if (type(source).shape == wanted.shape) return source;
  const std::int64_t count = mil::element_count(wanted.shape);
  std::int64_t found = mil::element_count(type(source).shape);
  ValueId flat = add(OpKind::reshape, {argument("x", source), integers("shape", {found})}, exact).front();
  if (found < count) {
    const std::int64_t times = (count + found - 1) / found;
    flat = add(OpKind::tile, {argument("x", flat), integers("reps", {times})}, exact).front();
    found *= times;
  }
  if (found > count) {
    const std::int64_t begin = between(0, found - count);
    flat =
        add(OpKind::slice_by_size, {argument("x", flat), integers("begin", {begin}), integers("size", {count})}, exact)
            .front();
  }
  if (wanted.shape.empty()) return add(OpKind::squeeze, {argument("x", flat), integers("axes", {0})}, exact).front();
  return add(OpKind::reshape, {argument("x", flat), integers("shape", wanted.shape)}, exact).front();
}

std::optional<ValueId> ProgramGrower::at_least_one(DType dtype) {
  const auto is_exact_real = [&](ValueId value) { return type(value).dtype == dtype && is_exact(value); };
  if (const auto found = find([&](ValueId value) { return is_exact_real(value) && least(value) >= 1; })) return found;
  const auto any =
      find([&](ValueId value) { return is_exact_real(value) && largest(value) < largest_allowed(dtype) - 1; });
  if (!any) return std::nullopt;
  const Effect exact{.gain = 1, .own = 0, .exact = true};
  const ValueId magnitude = add(OpKind::abs, {argument("x", *any)}, exact).front();
  return add(OpKind::add, {argument("x", magnitude), real("y", dtype, 1)}, exact).front();
}

// Arguments.

Argument ProgramGrower::argument(std::string_view name, ValueId value) {
  return {std::string(name), {Operand(value)}, false};
}

Argument ProgramGrower::arguments(std::string_view name, const std::vector<ValueId>& values) {
  return {std::string(name), {values.begin(), values.end()}, true};
}

Argument ProgramGrower::compile_time(std::string_view name, Constant constant) {
  if (chance(50)) return {std::string(name), {Operand(std::move(constant))}, false};
  mil::Operation operation;
  operation.kind = OpKind::constant;
  // Integers can be used by other operations; strings and fractions cannot.
  reference::Tensor elements{constant.type, {}};
  double error = std::numeric_limits<double>::infinity();
  if (const auto* integers = std::get_if<std::vector<std::int64_t>>(&constant.data)) {
    elements.data.assign(integers->begin(), integers->end());
    error = 0;
  } else if (const auto* reals = std::get_if<std::vector<float>>(&constant.data)) {
    elements.data.assign(reals->begin(), reals->end());
  }
  const ValueId result = define(elements, error);
  operation.attributes = {{"val", {Operand(std::move(constant))}, false}};
  operation.results = {result};
  operation.name = main().value(result).name;
  main().operations.push_back(std::move(operation));
  return argument(name, result);
}

Argument ProgramGrower::integers(std::string_view name, const std::vector<std::int64_t>& list) {
  return compile_time(name, {{DType::int32, {static_cast<std::int64_t>(list.size())}}, list});
}

Argument ProgramGrower::integer(std::string_view name, std::int64_t number) {
  return compile_time(name, {{DType::int32, {}}, std::vector<std::int64_t>{number}});
}

Argument ProgramGrower::flags(std::string_view name, const std::vector<std::int64_t>& list) {
  return compile_time(name, {{DType::boolean, {static_cast<std::int64_t>(list.size())}}, list});
}

Argument ProgramGrower::flag(std::string_view name, bool value) {
  return compile_time(name, {{DType::boolean, {}}, std::vector<std::int64_t>{value ? 1 : 0}});
}

Argument ProgramGrower::text(std::string_view name, std::string value) {
  return compile_time(name, {{DType::string, {}}, std::vector<std::string>{std::move(value)}});
}

Argument ProgramGrower::real(std::string_view name, DType dtype, float number) {
  return compile_time(name, {{dtype, {}}, std::vector<float>{number}});
}

// Operations.

std::vector<ValueId> ProgramGrower::add(OpKind kind, std::vector<Argument> arguments, const Effect& effect,
                                        std::vector<Argument> attributes) {
  double operand_error = 0;
  for (const Argument& argument : arguments) {
    for (const Operand& operand : argument.operands) {
      const auto* const id = std::get_if<ValueId>(&operand);
      if (id != nullptr && std::isfinite(error(*id))) operand_error = std::max(operand_error, error(*id));
    }
  }
  const std::size_t values_before = main().values.size();
  main().operations.push_back({kind, std::move(arguments), std::move(attributes), {}, {}, {}});
  mil::Operation& operation = main().operations.back();
  const auto take_back = [&] {
    for (std::size_t id = values_before; id < main().values.size(); ++id) values_.erase(static_cast<ValueId>(id));
    main().values.resize(values_before);
    errors_.resize(values_before);
    main().operations.pop_back();
    return std::vector<ValueId>();
  };
  const std::vector<mil::TensorType> types = mil::infer_types(main(), operation);
  for (const mil::TensorType& type : types) {
    if (mil::element_count(type.shape) > kMostResultElements) return take_back();
    operation.results.push_back(static_cast<ValueId>(main().values.size()));
    main().values.push_back({fmt::format("v{}", operation.results.back()), type});
  }
  operation.name = main().value(operation.results.front()).name;
  const std::vector<reference::Tensor> results = reference::evaluate(mil::OpView(main(), operation), values_, blobs_);
  for (std::size_t i = 0; i < results.size(); ++i) {
    const ValueId id = operation.results[i];
    values_[id] = results[i];
    const double most = largest(id);
    const bool usable =
        std::all_of(results[i].data.begin(), results[i].data.end(), [](double v) { return std::isfinite(v); });
    if (!usable || most > largest_allowed(types[i].dtype)) return take_back();
    const double own = effect.exact ? 0 : effect.own + tolerance_of(types[i].dtype) * most;
    errors_.push_back(effect.gain * operand_error + own);
  }
  return operation.results;
}

void ProgramGrower::add_inputs() {
  static const std::vector<DType> other{DType::fp16, DType::fp32, DType::int32, DType::boolean, DType::int8};
  const std::int64_t count = between(1, 3);
  for (std::int64_t i = 0; i < count; ++i) {
    const mil::TensorType type{i == 0 || chance(70) ? element_ : one_of(other), shape(0, 5)};
    main().inputs.push_back(define(elements(type), 0));
  }
  const Effect exact{.gain = 1, .own = 0, .exact = true};
  // Never NaN and so always 0; abs, as there is no -0 then.
  const ValueId product =
      add(OpKind::mul, {argument("x", main().inputs.front()), real("y", element_, 0)}, exact).front();
  const ValueId magnitude = add(OpKind::abs, {argument("x", product)}, exact).front();
  zero_ = magnitude;
  if (!type(magnitude).shape.empty()) {
    zero_ = add(OpKind::reduce_max, {argument("x", magnitude)}, exact).front();
  }
}

RandomProgram ProgramGrower::finish(bool closed) && {
  RandomProgram result;
  result.closed = closed;
  std::vector<ValueId> outputs;
  const std::int64_t count = between(1, 4);
  const auto may_leave = [&](ValueId value) {
    return std::isfinite(error(value)) && std::find(outputs.begin(), outputs.end(), value) == outputs.end();
  };
  for (std::int64_t i = 0; i < count; ++i) {
    const std::optional<ValueId> output = find(may_leave);
    if (output) outputs.push_back(*output);
  }
  for (const ValueId output : outputs) {
    result.outputs.push_back(tensor(output));
    result.errors.push_back(error(output));
  }
  for (const ValueId input : main().inputs) result.inputs.push_back(tensor(input));
  main().outputs = std::move(outputs);
  result.program = std::move(program_);
  result.blobs = std::move(blobs_);
  return result;
}

RandomProgram random_program(std::uint64_t seed) {
  ProgramGrower grower(seed);
  const bool closed = grower.chance(50);
  grower.add_inputs();
  if (closed) grower.first_value_ = grower.main().inputs.size();
  const std::int64_t starts = grower.between(closed ? 1 : 0, 2);
  for (std::int64_t i = 0; i < starts; ++i) {
    grower.at_run_time(grower.elements({grower.element(), grower.shape(0, 5)}));
  }

  const std::span<const OperationGenerator> generators = operation_generators();
  std::int64_t weights = 0;
  for (const OperationGenerator& generator : generators) weights += generator.weight;
  const std::int64_t operations = grower.chance(15) ? grower.between(8, 24) : grower.between(1, 7);
  for (std::int64_t i = 0; i < operations; ++i) {
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      std::int64_t at = grower.between(0, weights - 1);
      const auto chosen = std::find_if(generators.begin(), generators.end(),
                                       [&](const OperationGenerator& g) { return (at -= g.weight) < 0; });
      if (chosen->add(grower, chosen->kind)) break;
    }
  }
  return std::move(grower).finish(closed);
}

}  // namespace ane::device::host
