#include "ane/mil/builder.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "ane/math/half.h"
#include "ane/mil/verify.h"

#include "infer.h"

namespace ane::mil {
namespace {

Argument argument(std::string_view name, Var value) { return {std::string(name), {Operand(value.id)}, false}; }

Argument tuple(std::string_view name, std::span<const Var> values) {
  Argument result{std::string(name), {}, true};
  for (const Var value : values) result.operands.emplace_back(value.id);
  return result;
}

/// Makes a number part of a name, with "m" for minus and "p" for the point.
std::string name_part(std::string text) {
  std::replace(text.begin(), text.end(), '-', 'm');
  std::replace(text.begin(), text.end(), '.', 'p');
  std::erase(text, '+');
  return text;
}

}  // namespace

Builder::Builder(DType element, Dialect dialect) : element_(element) {
  assert(is_float(element));
  const bool older = dialect == Dialect::ios16;
  program_.version = older ? Version::v1_0 : Version::v1_3;
  program_.build_info = default_build_info(dialect);
  Function& function = program_.functions.emplace_back();
  function.name = "main";
  function.opset = older ? OpSet::ios16 : OpSet::ios18;
}

std::string Builder::unique_name(std::string_view wanted) {
  const auto [entry, fresh] = names_.try_emplace(std::string(wanted), 1);
  if (fresh) return entry->first;
  for (;;) {
    std::string candidate = fmt::format("{}_{}", wanted, ++entry->second);
    if (names_.try_emplace(candidate, 1).second) return candidate;
  }
}

Var Builder::input(std::string_view name, Shape shape) { return input(name, TensorType{element_, std::move(shape)}); }

Var Builder::input(std::string_view name, TensorType type) {
  assert(main().operations.empty());  // inputs come first
  // The caller binds inputs by name, so they must not be renamed.
  if (!names_.try_emplace(std::string(name), 1).second)
    throw TypeError(fmt::format("input '{}' is defined twice", name), {});
  const auto id = static_cast<ValueId>(main().values.size());
  main().values.push_back({std::string(name), std::move(type)});
  main().inputs.push_back(id);
  return {id};
}

std::vector<Var> Builder::append(OpKind kind, std::string_view name, Operation operation) {
  operation.kind = kind;
  operation.name = name;
  Function& function = main();
  const std::vector<TensorType> types = infer_types(function, operation);
  std::vector<Var> results;
  for (std::size_t i = 0; i < types.size(); ++i) {
    const std::string wanted = types.size() == 1 ? std::string(name) : fmt::format("{}_{}", name, i);
    const auto id = static_cast<ValueId>(function.values.size());
    function.values.push_back({unique_name(wanted), types[i]});
    operation.results.push_back(id);
    results.push_back({id});
  }
  if (results.size() == 1) operation.name = function.values.back().name;
  function.operations.push_back(std::move(operation));
  return results;
}

std::vector<Var> Builder::operation(OpKind kind, std::string_view name, std::vector<Argument> arguments) {
  Operation operation;
  operation.arguments = std::move(arguments);
  return append(kind, name, std::move(operation));
}

Var Builder::append_one(OpKind kind, std::string_view name, std::vector<Argument> arguments) {
  return operation(kind, name, std::move(arguments)).front();
}

Var Builder::define(std::string_view name, Constant value) {
  Operation operation;
  operation.attributes.push_back({"val", {Operand(std::move(value))}, false});
  return append(OpKind::constant, name, std::move(operation)).front();
}

Var Builder::share(std::string_view name, Constant value) {
  const auto known = std::find_if(shared_constants_.begin(), shared_constants_.end(),
                                  [&](const auto& entry) { return entry.first == value; });
  if (known != shared_constants_.end()) return known->second;
  const Var var = define(name, value);
  shared_constants_.emplace_back(std::move(value), var);
  return var;
}

Var Builder::blob(std::string_view name, Shape shape, std::string_view path, std::uint64_t offset) {
  return define(name, {{element_, std::move(shape)}, BlobRef{std::string(path), offset}});
}

Var Builder::scalar(float value) {
  std::vector<float> data{value};
  if (element_ == DType::fp16) math::round_to_half(data);
  return share(name_part(fmt::format("c_{:g}", value)), {{element_, {}}, std::move(data)});
}

Var Builder::constant(std::string_view name, Constant value) {
  if (auto* floats = std::get_if<std::vector<float>>(&value.data); floats != nullptr && value.type.dtype == DType::fp16)
    math::round_to_half(*floats);
  return define(name, std::move(value));
}

Var Builder::integers(std::string_view name, std::vector<std::int64_t> values) {
  const auto length = static_cast<std::int64_t>(values.size());
  return share(name, {{DType::int32, {length}}, std::move(values)});
}

Var Builder::integer(std::string_view name, std::int64_t value) {
  return share(name, {{DType::int32, {}}, std::vector<std::int64_t>{value}});
}

Var Builder::boolean(std::string_view name, bool value) {
  return share(name, {{DType::boolean, {}}, std::vector<std::int64_t>{value ? 1 : 0}});
}

Var Builder::text(std::string_view name, std::string_view value) {
  return share(name, {{DType::string, {}}, std::vector<std::string>{std::string(value)}});
}

// The builder's own consts are named by their values, because several operations may share them.
Var Builder::integers(std::vector<std::int64_t> values) {
  const std::string name = name_part(fmt::format("ints_{}", fmt::join(values, "_")));
  return integers(name, std::move(values));
}
Var Builder::integer(std::int64_t value) { return integer(name_part(fmt::format("int_{}", value)), value); }
Var Builder::flag(bool value) { return boolean(value ? "yes" : "no", value); }

Var Builder::conv1x1(std::string_view name, Var x, Var weight) {
  const Var ones = integers({1, 1});
  return append_one(OpKind::conv, name,
                    {argument("dilations", ones), argument("groups", integer(1)),
                     argument("pad", integers({0, 0, 0, 0})), argument("pad_type", text("valid", "valid")),
                     argument("strides", ones), argument("weight", weight), argument("x", x)});
}

Var Builder::matmul(std::string_view name, Var x, Var y, bool transpose_x, bool transpose_y) {
  return append_one(OpKind::matmul, name,
                    {argument("transpose_x", flag(transpose_x)), argument("transpose_y", flag(transpose_y)),
                     argument("x", x), argument("y", y)});
}

Var Builder::binary(OpKind kind, std::string_view name, Var x, Var y) {
  return append_one(kind, name, {argument("x", x), argument("y", y)});
}

Var Builder::unary(OpKind kind, std::string_view name, Var x) { return append_one(kind, name, {argument("x", x)}); }

Var Builder::softmax(std::string_view name, Var x, int axis) {
  return append_one(OpKind::softmax, name, {argument("axis", integer(axis)), argument("x", x)});
}

Var Builder::reduce(OpKind kind, std::string_view name, Var x, std::vector<std::int64_t> axes, bool keep_dims) {
  return append_one(
      kind, name,
      {argument("axes", integers(std::move(axes))), argument("keep_dims", flag(keep_dims)), argument("x", x)});
}

Var Builder::reshape(std::string_view name, Var x, Shape shape) {
  return append_one(OpKind::reshape, name, {argument("shape", integers(std::move(shape))), argument("x", x)});
}

Var Builder::transpose(std::string_view name, Var x, std::vector<std::int64_t> perm) {
  return append_one(OpKind::transpose, name, {argument("perm", integers(std::move(perm))), argument("x", x)});
}

Var Builder::slice(std::string_view name, Var x, std::vector<std::int64_t> begin, std::vector<std::int64_t> size) {
  return append_one(
      OpKind::slice_by_size, name,
      {argument("begin", integers(std::move(begin))), argument("size", integers(std::move(size))), argument("x", x)});
}

Var Builder::concat(std::string_view name, std::span<const Var> values, int axis) {
  return append_one(OpKind::concat, name,
                    {argument("axis", integer(axis)), argument("interleave", flag(false)), tuple("values", values)});
}

const TensorType& Builder::type(Var value) const { return program_.functions.front().value(value.id).type; }

Program Builder::finish(std::span<const Var> outputs) && {
  Function& function = main();
  for (const Var output : outputs) {
    const Operation* source = defining_operation(function, output.id);
    if (source == nullptr || source->kind == OpKind::constant)
      throw TypeError(fmt::format("output '{}' is not an operation's result", function.value(output.id).name), {});
    function.outputs.push_back(output.id);
  }
  verify(program_);
  return std::move(program_);
}

}  // namespace ane::mil
