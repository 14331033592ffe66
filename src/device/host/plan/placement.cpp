#include "plan/placement.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <variant>

#include "ane/mil/geometry.h"

namespace ane::device::host {
namespace {

using mil::OpKind;
using mil::OpView;
using mil::ValueId;

std::vector<const mil::Operation*> producers_of(const mil::Function& function) {
  std::vector<const mil::Operation*> producers(function.values.size(), nullptr);
  for (const mil::Operation& operation : function.operations) {
    for (const ValueId result : operation.results) producers[result] = &operation;
  }
  return producers;
}

std::vector<int> uses_of(const mil::Function& function) {
  std::vector<int> uses(function.values.size(), 0);
  for (const mil::Operation& operation : function.operations) {
    for (const mil::Argument& argument : operation.arguments) {
      for (const mil::Operand& operand : argument.operands) {
        if (const auto* id = std::get_if<ValueId>(&operand)) ++uses[*id];
      }
    }
  }
  for (const ValueId output : function.outputs) ++uses[output];
  return uses;
}

/// Longest chain of reshapes and similar views through which a location is propagated: without a bound the time would
/// be quadratic in the length of such chains.
constexpr std::size_t kMostViews = 64;

bool joins(OpKind kind) { return kind == OpKind::concat || kind == OpKind::stack; }

class Placer {
 public:
  Placer(const mil::Function& function, GraphBuilder& builder)
      : function_(function), builder_(builder), producers_(producers_of(function)), uses_(uses_of(function)) {}

  Placement run() {
    for (std::size_t i = 0; i < function_.outputs.size(); ++i) {
      const ValueId output = function_.outputs[i];
      place_in_surface(output, builder_.port(Space::output, i, function_.value(output).type));
    }
    std::for_each(function_.operations.rbegin(), function_.operations.rend(), [&](const mil::Operation& operation) {
      const OpView op(function_, operation);
      if (joins(op.kind())) place_parts(op);
      pass_order_on(op);
    });
    return std::move(result_);
  }

 private:
  /// A request to place a value at `place`. `only_use`: it has no other reader.
  struct Wish {
    ValueId value = 0;
    View place;
    bool only_use = false;
  };
  [[nodiscard]] Wish follow_views(Wish wish, std::vector<ValueId>& views) const;
  [[nodiscard]] bool dissolves(const Wish& wish) const;
  void place_in_surface(ValueId output, const View& place);
  bool place_in_arena(const mil::Operand& operand, const View& place);
  std::optional<std::pair<ValueId, View>> through_view(ValueId value, const View& place) const;
  void place_parts(const OpView& op);
  void pass_order_on(const OpView& op);
  void suggest(const mil::Operand& operand, const std::vector<std::size_t>& order);

  const mil::Function& function_;
  GraphBuilder& builder_;
  std::vector<const mil::Operation*> producers_;
  std::vector<int> uses_;
  Placement result_;
};

/// If `value` is a view of another value: that value, and where it must be for `value` to be at `place`.
std::optional<std::pair<ValueId, View>> Placer::through_view(ValueId value, const View& place) const {
  if (producers_[value] == nullptr) return std::nullopt;
  const OpView op(function_, *producers_[value]);
  switch (op.kind()) {
    case OpKind::transpose:
    case OpKind::reshape:
    case OpKind::expand_dims:
    case OpKind::squeeze:
    case OpKind::identity:
      break;
    default:
      return std::nullopt;
  }
  const auto* source = std::get_if<ValueId>(&op.operand("x"));
  if (source == nullptr) return std::nullopt;
  if (op.kind() == OpKind::transpose) {
    return std::pair(*source, unpermuted(place, transpose_perm(op)));
  }
  const std::optional<View> view = reshaped(place, op.type("x").shape);
  if (!view) return std::nullopt;
  return std::pair(*source, *view);
}

/// Follows `wish` to the value whose elements must be computed. Adds the values along the way, which are views of it,
/// to `views`.
Placer::Wish Placer::follow_views(Wish wish, std::vector<ValueId>& views) const {
  while (views.size() < kMostViews) {
    const auto source = through_view(wish.value, wish.place);
    if (!source) break;
    views.push_back(wish.value);
    wish = {source->first, source->second, wish.only_use && uses_[source->first] == 1};
  }
  return wish;
}

/// Whether a value that is part of the outputs need not exist as a whole.
bool Placer::dissolves(const Wish& wish) const {
  const mil::Operation* const producer = producers_[wish.value];
  if (!wish.only_use || producer == nullptr || !joins(producer->kind)) return false;
  const std::vector<mil::Operand>& parts = OpView(function_, *producer).operands("values");
  return std::all_of(parts.begin(), parts.end(),
                     [](const mil::Operand& operand) { return std::holds_alternative<ValueId>(operand); });
}

void Placer::place_in_surface(ValueId output, const View& place) {
  std::vector<Wish> open{{output, place, uses_[output] == 1}};
  while (!open.empty()) {
    std::vector<ValueId> views;
    const Wish wish = follow_views(std::move(open.back()), views);
    open.pop_back();
    if (!dissolves(wish)) {
      result_.copies[wish.value].push_back(wish.place);
      continue;
    }
    result_.dissolved.insert(views.begin(), views.end());
    result_.dissolved.insert(wish.value);
    const OpView op(function_, *producers_[wish.value]);
    const std::vector<View> places = parts_of(op, wish.place);
    for (std::size_t i = places.size(); i-- > 0;) {  // elements are erased
      const ValueId part = std::get<ValueId>(op.operands("values")[i]);
      open.push_back({part, places[i], uses_[part] == 1});
    }
  }
}

bool Placer::place_in_arena(const mil::Operand& operand, const View& place) {
  const auto* value = std::get_if<ValueId>(&operand);
  if (value == nullptr || producers_[*value] == nullptr) return false;
  std::vector<ValueId> views;
  const Wish wish = follow_views({*value, place, false}, views);
  if (producers_[wish.value] == nullptr) return false;
  switch (producers_[wish.value]->kind) {
    case OpKind::constant:
    case OpKind::reshape:
    case OpKind::expand_dims:
    case OpKind::squeeze:
    case OpKind::identity:
    case OpKind::transpose:
    case OpKind::slice_by_size:
    case OpKind::slice_by_index:
    case OpKind::split:
      return false;
    default:
      return result_.homes.emplace(wish.value, wish.place).second;
  }
}

void Placer::place_parts(const OpView& op) {
  const ValueId value = op.operation().results.front();
  if (result_.dissolved.contains(value)) return;
  const auto home = result_.homes.find(value);
  const mil::TensorType& type = op.result_type();
  const View whole =
      home != result_.homes.end() ? home->second : builder_.allocate(type.dtype, type.shape, /*constant=*/false);
  result_.homes.insert_or_assign(value, whole);
  std::vector<bool>& in_place = result_.in_place[value];
  const std::vector<View> places = parts_of(op, whole);
  for (std::size_t i = 0; i < places.size(); ++i) {
    in_place.push_back(place_in_arena(op.operands("values")[i], places[i]));
  }
}

void Placer::suggest(const mil::Operand& operand, const std::vector<std::size_t>& order) {
  if (const auto* value = std::get_if<ValueId>(&operand)) result_.orders.emplace(*value, order);
}

/// Sets the preferred memory order of the operands of `op`, given that of its result or its axis.
void Placer::pass_order_on(const OpView& op) {
  const mil::Operation& operation = op.operation();
  if (operation.results.empty() || op.kind() == OpKind::constant) return;
  std::vector<std::size_t> order(op.result_type().shape.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto wanted = result_.orders.find(operation.results.front());
  switch (op.kind()) {
    case OpKind::transpose: {
      if (wanted != result_.orders.end()) order = wanted->second;
      const Dims perm = transpose_perm(op);
      for (std::size_t& dim : order) dim = static_cast<std::size_t>(perm[dim]);
      return suggest(op.operand("x"), order);
    }
    case OpKind::softmax:
      return suggest(op.operand("x"), order);
    case OpKind::reshape:
    case OpKind::conv: {
      std::vector<std::size_t> packed(op.type("x").shape.size());
      std::iota(packed.begin(), packed.end(), std::size_t{0});
      return suggest(op.operand("x"), packed);
    }
    default:
      break;
  }
  const bool reduces = op.kind() >= OpKind::reduce_sum && op.kind() <= OpKind::layer_norm;
  if (reduces) {
    std::vector<std::size_t> packed(op.type("x").shape.size());
    std::iota(packed.begin(), packed.end(), std::size_t{0});
    return suggest(op.operand("x"), packed);
  }
  if (wanted == result_.orders.end() || op.kind() < OpKind::add || op.kind() > OpKind::select) return;
  for (const mil::Argument& argument : operation.arguments) {
    for (const mil::Operand& operand : argument.operands) {
      if (op.type(operand).shape == op.result_type().shape) suggest(operand, wanted->second);
    }
  }
}

}  // namespace

Dims transpose_perm(const OpView& op) {
  Dims perm = op.integers("perm");
  for (std::int64_t& axis : perm) {
    if (axis < 0) axis += static_cast<std::int64_t>(perm.size());
  }
  return perm;
}

std::vector<View> parts_of(const OpView& op, const View& whole) {
  const std::vector<mil::Operand>& values = op.operands("values");
  const std::size_t axis = mil::axis_of(op);
  const bool interleave = op.flag("interleave", false);
  std::vector<View> parts;
  std::int64_t begin = 0;
  for (const mil::Operand& value : values) {
    const auto index = static_cast<std::int64_t>(parts.size());
    if (op.kind() == OpKind::stack) {
      parts.push_back(squeezed(sliced(whole, axis, index, 1), axis));
      continue;
    }
    const std::int64_t size = op.type(value).shape[axis];
    parts.push_back(interleave ? sliced(whole, axis, index, size, static_cast<std::int64_t>(values.size()))
                               : sliced(whole, axis, begin, size));
    begin += size;
  }
  return parts;
}

Placement place_values(const mil::Function& function, GraphBuilder& builder) { return Placer(function, builder).run(); }

}  // namespace ane::device::host
