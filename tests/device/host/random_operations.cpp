#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <numeric>
#include <utility>

#include "harness.h"
#include "random_program.h"

namespace ane::device::host {
namespace {

using mil::Argument;
using mil::DType;
using mil::OpKind;
using mil::Shape;
using mil::TensorType;
using mil::ValueId;
using Grower = ProgramGrower;
using Integers = std::vector<std::int64_t>;

/// Sums of integers below it are exact in fp32, in any order.
constexpr double kExactSums = 0x1p24;
/// Error of a few fp32 operations on values of 1.
constexpr double kOwn = 1e-6;

constexpr Effect kExact{.gain = 1, .own = 0, .exact = true};

std::int64_t signed_size(const auto& range) { return static_cast<std::int64_t>(range.size()); }

/// An axis in one of its textual forms.
std::int64_t either_way(Grower& g, std::int64_t axis, std::size_t rank) {
  return g.chance(30) ? axis - static_cast<std::int64_t>(rank) : axis;
}

std::optional<ValueId> with_rank(Grower& g, std::size_t least, std::size_t most = 6) {
  return g.find([&](ValueId v) { return g.type(v).shape.size() >= least && g.type(v).shape.size() <= most; });
}

std::optional<ValueId> real_with_rank(Grower& g, std::size_t least, std::size_t most = 6) {
  return g.find(
      [&](ValueId v) { return g.is_real(v) && g.type(v).shape.size() >= least && g.type(v).shape.size() <= most; });
}

bool broadcasts_to(const Shape& from, const Shape& to) {
  if (from.size() > to.size()) return false;
  return std::equal(from.rbegin(), from.rend(), to.rbegin(), [](auto a, auto b) { return a == 1 || a == b; });
}

/// A value of the type of `x` whose shape broadcasts to that of `x`.
ValueId partner(Grower& g, ValueId x, const Grower::Predicate& fits) {
  const TensorType type = g.type(x);
  const auto found = g.find([&](ValueId v) {
    return g.type(v).dtype == type.dtype && broadcasts_to(g.type(v).shape, type.shape) && fits(v);
  });
  if (found && g.chance(60)) return *found;
  return g.value({type.dtype, g.broadcastable_to(type.shape)});
}

bool add_all(Grower& g, OpKind kind, std::vector<Argument> arguments, const Effect& effect) {
  return !g.add(kind, std::move(arguments), effect).empty();
}

// Elementwise, one operand.

/// Functions with slopes of about 1 at most, and results not much larger than their operand.
bool smooth(Grower& g, OpKind kind) {
  const auto x = g.find([&](ValueId v) { return g.is_real(v) && g.largest(v) <= 100; });
  if (!x) return false;
  std::vector<Argument> arguments{Grower::argument("x", *x)};
  static const std::vector<std::string> modes{"EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION"};
  if (kind == OpKind::gelu && g.chance(80)) arguments.push_back(g.text("mode", g.one_of(modes)));
  return add_all(g, kind, std::move(arguments), {.gain = 1.2, .own = kOwn * (1 + g.largest(*x))});
}

/// Functions that only select among existing values.
bool piecewise(Grower& g, OpKind kind) {
  const bool takes_integers = kind == OpKind::abs;
  const auto x = g.find([&](ValueId v) { return takes_integers ? g.is_number(v) : g.is_real(v); });
  if (!x) return false;
  const DType dtype = g.type(*x).dtype;
  std::vector<Argument> arguments{Grower::argument("x", *x)};
  if (kind == OpKind::clip) {
    arguments.push_back(g.real("alpha", dtype, static_cast<float>(g.between(-3, 0))));
    arguments.push_back(g.real("beta", dtype, static_cast<float>(g.between(1, 5))));
  }
  if (kind == OpKind::leaky_relu) arguments.push_back(g.real("alpha", dtype, 0.25F));
  return add_all(g, kind, std::move(arguments), {.gain = 1, .own = 0, .exact = kind != OpKind::leaky_relu});
}

/// Functions with steps.
bool stepped(Grower& g, OpKind kind) {
  const auto x =
      g.find([&](ValueId v) { return g.is_exact(v) && (kind == OpKind::sign ? g.is_number(v) : g.is_real(v)); });
  return x && add_all(g, kind, {Grower::argument("x", *x)}, kExact);
}

/// Functions that are defined from 1 on, with slopes no larger than their operand.
bool from_one_on(Grower& g, OpKind kind) {
  const auto x = g.at_least_one(g.chance(80) ? g.element() : DType::fp32);
  if (!x) return false;
  std::vector<Argument> arguments{Grower::argument("x", *x)};
  if (kind != OpKind::sqrt && g.chance(50)) arguments.push_back(g.real("epsilon", g.type(*x).dtype, 0.5F));
  return add_all(g, kind, std::move(arguments), {.gain = 1, .own = kOwn});
}

bool exponential(Grower& g, OpKind kind) {
  const auto x = g.find([&](ValueId v) { return g.is_real(v) && g.is_exact(v) && g.largest(v) <= 7; });
  return x && add_all(g, kind, {Grower::argument("x", *x)}, {.gain = 1, .own = kOwn});
}

bool square(Grower& g, OpKind kind) {
  const auto x = g.find([&](ValueId v) { return g.is_number(v); });
  if (!x) return false;
  const double most = g.largest(*x);
  return add_all(g, kind, {Grower::argument("x", *x)},
                 {.gain = 2 * most + g.error(*x), .own = 0, .exact = g.is_exact(*x) && most * most < kExactSums});
}

bool cast(Grower& g, OpKind kind) {
  const auto x = g.find([](ValueId) { return true; });
  if (!x) return false;
  static const std::vector<std::string> real_types{"fp16", "fp32"};
  static const std::vector<std::string> all_types{"fp16", "fp32", "int32", "bool", "int8", "uint8", "int16", "uint16"};
  const std::string to = g.one_of(g.is_exact(*x) ? all_types : real_types);
  if (to.starts_with('u') && g.least(*x) < 0) return false;
  if (to.ends_with("int8") && g.largest(*x) > 127) return false;
  if (to.ends_with("int16") && g.largest(*x) > 32767) return false;
  return add_all(g, kind, {Grower::argument("x", *x), g.text("dtype", to)},
                 {.gain = 1, .own = 0, .exact = g.is_exact(*x)});
}

bool logical_not(Grower& g, OpKind kind) {
  const auto found = g.find([&](ValueId v) { return g.type(v).dtype == DType::boolean; });
  const ValueId x = found ? *found : g.value({DType::boolean, g.shape(0, 5)});
  return add_all(g, kind, {Grower::argument("x", x)}, kExact);
}

// Elementwise, several operands.

bool pair(Grower& g, OpKind kind, const Grower::Predicate& fits, const auto& effect_of) {
  const auto first = g.find(fits);
  if (!first) return false;
  ValueId x = *first;
  ValueId y = partner(g, x, fits);
  if (g.chance(50)) std::swap(x, y);
  return add_all(g, kind, {Grower::argument("x", x), Grower::argument("y", y)}, effect_of(x, y));
}

bool sum(Grower& g, OpKind kind) {
  return pair(
      g, kind, [&](ValueId v) { return g.is_number(v); },
      [&](ValueId x, ValueId y) { return Effect{.gain = 2, .own = 0, .exact = g.is_exact(x) && g.is_exact(y)}; });
}

bool product(Grower& g, OpKind kind) {
  return pair(
      g, kind, [&](ValueId v) { return g.is_number(v); },
      [&](ValueId x, ValueId y) {
        const double most = g.largest(x) * g.largest(y);
        return Effect{.gain = g.largest(x) + g.largest(y) + g.error(x),
                      .own = 0,
                      .exact = g.is_exact(x) && g.is_exact(y) && most < kExactSums};
      });
}

bool extreme(Grower& g, OpKind kind) {
  return pair(
      g, kind, [&](ValueId v) { return g.is_real(v); }, [](ValueId, ValueId) { return kExact; });
}

bool comparison(Grower& g, OpKind kind) {
  return pair(
      g, kind, [&](ValueId v) { return g.is_number(v) && g.is_exact(v); }, [](ValueId, ValueId) { return kExact; });
}

bool quotient(Grower& g, OpKind kind) {
  const auto y = g.at_least_one(g.element());
  if (!y) return false;
  const ValueId x = partner(g, *y, [](ValueId) { return true; });
  return add_all(g, kind, {Grower::argument("x", x), Grower::argument("y", *y)}, {.gain = 1, .own = 0});
}

bool power(Grower& g, OpKind kind) {
  const auto x = g.at_least_one(g.element());
  if (!x) return false;
  const Shape shape = g.broadcastable_to(g.type(*x).shape);
  reference::Tensor exponents = g.elements({g.element(), shape});
  for (double& exponent : exponents.data) exponent = std::clamp(exponent, -2.0, 2.0);
  const ValueId y = g.chance(50) ? g.constant(exponents) : g.at_run_time(exponents);
  return add_all(g, kind, {Grower::argument("x", *x), Grower::argument("y", y)}, {.gain = 1, .own = kOwn});
}

/// floor_div and mod, by anything but 0.
bool floored(Grower& g, OpKind kind) {
  const auto x = g.find([&](ValueId v) { return g.is_number(v) && g.is_exact(v); });
  if (!x) return false;
  reference::Tensor divisors = g.elements({g.type(*x).dtype, g.broadcastable_to(g.type(*x).shape)});
  for (double& divisor : divisors.data) divisor = divisor == 0 ? 3 : divisor;
  const ValueId y = g.chance(50) ? g.constant(divisors) : g.at_run_time(divisors);
  return add_all(g, kind, {Grower::argument("x", *x), Grower::argument("y", y)}, kExact);
}

bool logical(Grower& g, OpKind kind) {
  const auto found = g.find([&](ValueId v) { return g.type(v).dtype == DType::boolean; });
  const ValueId x = found ? *found : g.value({DType::boolean, g.shape(0, 5)});
  const ValueId y = partner(g, x, [](ValueId) { return true; });
  return add_all(g, kind, {Grower::argument("x", x), Grower::argument("y", y)}, kExact);
}

bool select(Grower& g, OpKind kind) {
  const auto a = g.find([](ValueId) { return true; });
  if (!a) return false;
  const ValueId b = partner(g, *a, [](ValueId) { return true; });
  const Shape shape = g.type(*a).shape;
  const auto found =
      g.find([&](ValueId v) { return g.type(v).dtype == DType::boolean && broadcasts_to(g.type(v).shape, shape); });
  const ValueId condition = found && g.chance(60) ? *found : g.value({DType::boolean, g.broadcastable_to(shape)});
  std::vector<Argument> arguments{Grower::argument("cond", condition), Grower::argument("a", *a),
                                  Grower::argument("b", b)};
  if (g.chance(50)) std::swap(arguments[1].operands, arguments[2].operands);
  return add_all(g, kind, std::move(arguments), kExact);
}

// Along axes.

bool softmax(Grower& g, OpKind kind) {
  const auto x = real_with_rank(g, 1);
  if (!x) return false;
  std::vector<Argument> arguments{Grower::argument("x", *x)};
  const std::size_t rank = g.type(*x).shape.size();
  if (g.chance(80)) {
    arguments.push_back(g.integer("axis", either_way(g, g.between(0, static_cast<std::int64_t>(rank) - 1), rank)));
  }
  return add_all(g, kind, std::move(arguments), {.gain = 2, .own = kOwn * (1 + g.largest(*x))});
}

/// Number of elements reduced to one.
double count_along(const Shape& shape, const Integers& axes) {
  double count = 1;
  for (const std::int64_t axis : axes) {
    count *= static_cast<double>(shape[static_cast<std::size_t>(axis < 0 ? axis + signed_size(shape) : axis)]);
  }
  return count;
}

Effect effect_of_reduction(const Grower& g, OpKind kind, ValueId x, double n) {
  const double most = g.largest(x);
  switch (kind) {
    case OpKind::reduce_sum:
      return {.gain = n, .own = kOwn * n * most, .exact = g.is_exact(x) && n * most < kExactSums};
    case OpKind::reduce_sum_square:
      return {.gain = n * (2 * most + g.error(x)),
              .own = kOwn * n * most * most,
              .exact = g.is_exact(x) && n * most * most < kExactSums};
    case OpKind::reduce_l2_norm:
      return {.gain = std::sqrt(n), .own = kOwn * (1 + std::sqrt(n) * most)};
    case OpKind::reduce_mean:
      return {.gain = 1, .own = kOwn * most};
    default:
      return kExact;
  }
}

bool reduction(Grower& g, OpKind kind) {
  const auto x = real_with_rank(g, 1);
  if (!x) return false;
  const Shape shape = g.type(*x).shape;
  std::vector<Argument> arguments{Grower::argument("x", *x)};
  Integers axes(shape.size());
  std::iota(axes.begin(), axes.end(), 0);
  if (g.chance(85)) {
    axes = g.axes_of(shape.size());
    arguments.push_back(g.integers("axes", axes));
  }
  if (g.chance(70)) arguments.push_back(g.flag("keep_dims", g.chance(50)));
  return add_all(g, kind, std::move(arguments), effect_of_reduction(g, kind, *x, count_along(shape, axes)));
}

bool reduce_arg(Grower& g, OpKind kind) {
  const auto x = g.find([&](ValueId v) { return g.is_number(v) && g.is_exact(v) && !g.type(v).shape.empty(); });
  if (!x) return false;
  const std::size_t rank = g.type(*x).shape.size();
  std::vector<Argument> arguments{Grower::argument("x", *x)};
  if (g.chance(80)) {
    arguments.push_back(g.integer("axis", either_way(g, g.between(0, static_cast<std::int64_t>(rank) - 1), rank)));
  }
  if (g.chance(70)) arguments.push_back(g.flag("keep_dims", g.chance(50)));
  if (g.chance(30)) arguments.push_back(g.text("output_dtype", "uint16"));
  return add_all(g, kind, std::move(arguments), kExact);
}

bool topk(Grower& g, OpKind kind) {
  const auto x =
      g.find([&](ValueId v) { return g.type(v).dtype != DType::boolean && g.is_exact(v) && !g.type(v).shape.empty(); });
  if (!x) return false;
  const Shape shape = g.type(*x).shape;
  const std::int64_t axis = g.between(0, signed_size(shape) - 1);
  const std::int64_t size = shape[static_cast<std::size_t>(axis)];
  std::vector<Argument> arguments{Grower::argument("x", *x), g.integer("axis", either_way(g, axis, shape.size()))};
  if (g.chance(80)) arguments.push_back(g.integer("k", g.chance(20) ? -1 : g.between(1, size)));
  if (g.chance(60)) arguments.push_back(g.flag("ascending", g.chance(50)));
  const bool indices = g.chance(70);
  if (!indices || g.chance(30)) arguments.push_back(g.flag("return_indices", indices));
  if (indices && g.chance(30)) arguments.push_back(g.text("output_indices_dtype", "uint16"));
  return add_all(g, kind, std::move(arguments), kExact);
}

bool layer_norm(Grower& g, OpKind kind) {
  const auto x = g.find(
      [&](ValueId v) { return g.is_real(v) && g.is_exact(v) && !g.type(v).shape.empty() && g.largest(v) <= 64; });
  if (!x) return false;
  const TensorType type = g.type(*x);
  // A variance of 0 must not be magnified.
  std::vector<Argument> arguments{Grower::argument("x", *x), g.real("epsilon", type.dtype, 0.5F)};
  Integers axes = g.axes_of(type.shape.size());
  arguments.push_back(g.integers("axes", axes));
  for (std::int64_t& axis : axes) axis = axis < 0 ? axis + signed_size(type.shape) : axis;
  std::sort(axes.begin(), axes.end());
  TensorType normalized{type.dtype, {}};
  for (const std::int64_t axis : axes) normalized.shape.push_back(type.shape[static_cast<std::size_t>(axis)]);
  for (const char* name : {"gamma", "beta"}) {
    if (g.chance(50)) arguments.push_back(g.data(name, g.elements(normalized)));
  }
  return add_all(g, kind, std::move(arguments), {.gain = 0, .own = 20 * kOwn * (1 + g.largest(*x))});
}

// Products.

/// Deviation of a sum of `depth` products.
Effect effect_of_products(const Grower& g, ValueId x, ValueId y, std::int64_t depth) {
  const auto n = static_cast<double>(depth);
  const double most = n * g.largest(x) * g.largest(y);
  return {.gain = n * (g.largest(x) + g.largest(y) + g.error(x)),
          .own = kOwn * most,
          .exact = g.is_exact(x) && g.is_exact(y) && most < kExactSums};
}

bool matmul(Grower& g, OpKind kind) {
  const auto x =
      g.find([&](ValueId v) { return g.is_number(v) && !g.type(v).shape.empty() && g.type(v).shape.size() <= 5; });
  if (!x) return false;
  const TensorType type = g.type(*x);
  const std::size_t rank = type.shape.size();
  const bool transpose_x = rank > 1 && g.chance(30);
  const bool transpose_y = g.chance(30);
  const std::int64_t depth = transpose_x ? type.shape[rank - 2] : type.shape.back();
  TensorType other{type.dtype, {}};
  if (rank > 2 && g.chance(60)) other.shape = g.broadcastable_to(Shape(type.shape.begin(), type.shape.end() - 2));
  if (!other.shape.empty() || g.chance(80)) {
    other.shape.push_back(depth);
    other.shape.push_back(g.dimension());
    if (transpose_y) std::swap(other.shape.back(), other.shape[other.shape.size() - 2]);
  } else {
    other.shape = {depth};
  }
  if (mil::element_count(other.shape) > 2100) return false;
  const ValueId y = g.value(other);
  if (!g.is_exact(y)) return false;
  std::vector<Argument> arguments{Grower::argument("x", *x), Grower::argument("y", y)};
  if (transpose_x || g.chance(30)) arguments.push_back(g.flag("transpose_x", transpose_x));
  if (transpose_y || g.chance(30)) arguments.push_back(g.flag("transpose_y", transpose_y));
  return add_all(g, kind, std::move(arguments), effect_of_products(g, *x, y, depth));
}

bool linear(Grower& g, OpKind kind) {
  const auto x = g.find([&](ValueId v) {
    const std::size_t rank = g.type(v).shape.size();
    return g.is_real(v) && rank >= 1 && rank <= 3;
  });
  if (!x) return false;
  const TensorType type = g.type(*x);
  const std::int64_t width = g.between(1, 9);
  if (width * type.shape.back() > 2100) return false;
  const ValueId weight = g.constant(g.elements({type.dtype, {width, type.shape.back()}}));
  std::vector<Argument> arguments{Grower::argument("x", *x), Grower::argument("weight", weight)};
  if (g.chance(50)) arguments.push_back(g.data("bias", g.elements({type.dtype, {width}})));
  return add_all(g, kind, std::move(arguments), effect_of_products(g, *x, weight, type.shape.back()));
}

/// Parameters of one spatial dimension, with a kernel that fits.
struct Window {
  std::int64_t size, kernel, stride, dilation, before, after;
};

Window window(Grower& g, bool padded, bool dilated) {
  Window w{};
  w.size = g.chance(10) ? g.between(60, 70) : g.between(1, 9);
  w.kernel = g.between(1, 3);
  w.stride = g.between(1, 3);
  w.dilation = dilated ? g.between(1, 3) : 1;
  w.before = padded ? g.between(0, 3) : 0;
  w.after = padded ? g.between(0, 3) : 0;
  while (w.dilation * (w.kernel - 1) + 1 > w.size + w.before + w.after) --w.kernel;
  return w;
}

bool conv(Grower& g, OpKind kind) {
  const std::int64_t spatial = g.between(1, 3);
  const std::int64_t groups = g.chance(30) ? g.between(2, 3) : 1;
  const std::int64_t channels = g.between(1, 4);
  static const std::vector<std::string> kinds_of_padding{"valid", "custom", "same", "same_lower"};
  const std::string padding = g.one_of(kinds_of_padding);
  const bool dilated = g.chance(30);
  TensorType x_type{g.element(), {g.between(1, 2), channels * groups}};
  TensorType weight_type{g.element(), {groups * g.between(1, 4), channels}};
  Integers strides;
  Integers dilations;
  Integers pad;
  std::int64_t depth = channels;
  for (std::int64_t i = 0; i < spatial; ++i) {
    const Window w = window(g, padding == "custom", dilated);
    x_type.shape.push_back(w.size);
    weight_type.shape.push_back(w.kernel);
    strides.push_back(w.stride);
    dilations.push_back(w.dilation);
    pad.insert(pad.end(), {w.before, w.after});
    depth *= w.kernel;
  }
  if (mil::element_count(x_type.shape) > 2100) return false;
  const ValueId x = g.value(x_type);
  const ValueId weight = dilated ? g.constant(g.elements(weight_type)) : g.value(weight_type);
  std::vector<Argument> arguments{Grower::argument("x", x), Grower::argument("weight", weight)};
  if (g.chance(50)) arguments.push_back(g.data("bias", g.elements({g.element(), {weight_type.shape[0]}})));
  if (g.chance(70)) arguments.push_back(g.integers("strides", strides));
  if (dilated) arguments.push_back(g.integers("dilations", dilations));
  if (padding != "valid") arguments.push_back(g.text("pad_type", padding));
  if (padding == "custom") arguments.push_back(g.integers("pad", pad));
  if (groups > 1) arguments.push_back(g.integer("groups", groups));
  return add_all(g, kind, std::move(arguments), effect_of_products(g, x, weight, depth));
}

/// Padding is smaller than the kernel, so that no window is empty.
bool pool(Grower& g, OpKind kind) {
  const std::int64_t spatial = g.between(1, 3);
  static const std::vector<std::string> kinds_of_padding{"valid", "custom", "same", "same_lower"};
  const std::string padding = g.one_of(kinds_of_padding);
  TensorType x_type{g.element(), {g.between(1, 2), g.between(1, 4)}};
  Integers kernel;
  Integers strides;
  Integers pad;
  bool ceil = spatial < 3 && padding != "same" && g.chance(40);
  for (std::int64_t i = 0; i < spatial; ++i) {
    Window w = window(g, false, false);
    if (padding == "custom") w.before = g.between(0, w.kernel - 1);
    if (padding == "custom") w.after = ceil ? w.before : g.between(0, w.kernel - 1);
    ceil = ceil && w.stride <= w.kernel;
    x_type.shape.push_back(w.size);
    kernel.push_back(w.kernel);
    strides.push_back(w.stride);
    pad.insert(pad.end(), {w.before, w.after});
  }
  if (mil::element_count(x_type.shape) > 2100) return false;
  const ValueId x = g.value(x_type);
  std::vector<Argument> arguments{Grower::argument("x", x), g.integers("kernel_sizes", kernel),
                                  g.integers("strides", strides), g.text("pad_type", padding)};
  if (padding == "custom") arguments.push_back(g.integers("pad", pad));
  if (ceil) arguments.push_back(g.flag("ceil_mode", true));
  if (kind == OpKind::max_pool) return add_all(g, kind, std::move(arguments), kExact);
  if (g.chance(60)) arguments.push_back(g.flag("exclude_padding_from_average", g.chance(50)));
  return add_all(g, kind, std::move(arguments), {.gain = 1, .own = kOwn * g.largest(x)});
}

/// Letters that occur in a random subset of the two operands and the result.
bool einsum(Grower& g, OpKind kind) {
  std::string x;
  std::string y;
  std::string result;
  TensorType x_type{g.element(), {}};
  TensorType y_type{g.element(), {}};
  std::int64_t depth = 1;
  const std::int64_t letters = g.between(2, 5);
  const auto insert = [&](std::string& labels, Shape* shape, char letter, std::int64_t size) {
    const std::int64_t at = g.between(0, signed_size(labels));
    labels.insert(labels.begin() + at, letter);
    if (shape != nullptr) shape->insert(shape->begin() + at, size);
  };
  for (std::int64_t i = 0; i < letters; ++i) {
    const auto letter = static_cast<char>('a' + i);
    const std::int64_t size = g.between(1, 5);
    const bool in_x = g.chance(75);
    const bool in_y = !in_x || g.chance(60);
    const bool in_result = g.chance(60);
    const bool stretched = in_x && in_y && in_result && g.chance(20);
    if (in_x) insert(x, &x_type.shape, letter, stretched ? 1 : size);
    if (in_y) insert(y, &y_type.shape, letter, size);
    if (in_result) insert(result, nullptr, letter, size);
    if (!in_result) depth *= size;
  }
  if (x.empty() || y.empty()) return false;
  const ValueId a = g.value(x_type);
  const ValueId b = g.value(y_type);
  if (!g.is_exact(b)) return false;
  return add_all(g, kind, {Grower::arguments("values", {a, b}), g.text("equation", x + "," + y + "->" + result)},
                 effect_of_products(g, a, b, depth));
}

bool attention(Grower& g, OpKind kind) {
  Shape batch(static_cast<std::size_t>(g.between(1, 2)));
  for (std::int64_t& dim : batch) dim = g.between(1, 3);
  const auto of_shape = [&](std::int64_t rows, std::int64_t columns) {
    Shape shape = batch;
    shape.insert(shape.end(), {rows, columns});
    return shape;
  };
  const std::int64_t queries = g.chance(10) ? 65 : g.between(1, 9);
  const std::int64_t keys = g.between(1, 9);
  const std::int64_t width = g.between(1, 8);
  const ValueId query = g.value({g.element(), of_shape(queries, width)});
  const ValueId key = g.value({g.element(), of_shape(keys, width)});
  const ValueId value = g.value({g.element(), of_shape(keys, g.between(1, 8))});
  const double scores = std::sqrt(static_cast<double>(width)) * g.largest(query) * g.largest(key);
  if (scores > 200) return false;
  std::vector<Argument> arguments{Grower::argument("query", query), Grower::argument("key", key),
                                  Grower::argument("value", value)};
  if (g.chance(50)) {
    const DType dtype = g.chance(50) ? g.element() : DType::boolean;
    const ValueId mask = g.value({dtype, g.broadcastable_to(of_shape(queries, keys))});
    if (g.largest(mask) > 10) return false;
    arguments.push_back(Grower::argument("attn_mask", mask));
  }
  return add_all(g, kind, std::move(arguments), {.gain = 0, .own = kOwn * (1 + scores) * g.largest(value)});
}

// Shape and position.

bool identity(Grower& g, OpKind kind) {
  const auto x = g.find([](ValueId) { return true; });
  return x && add_all(g, kind, {Grower::argument("x", *x)}, kExact);
}

bool reshape(Grower& g, OpKind kind) {
  const auto x = g.find([](ValueId) { return true; });
  if (!x) return false;
  std::int64_t left = mil::element_count(g.type(*x).shape);
  Integers shape;
  for (const std::int64_t factor : {2, 3, 5, 8, 64, 257}) {
    if (left % factor == 0 && g.chance(30)) {
      shape.push_back(factor);
      left /= factor;
    }
  }
  shape.push_back(left);
  if (g.chance(30)) shape.insert(shape.begin() + g.between(0, signed_size(shape)), 1);
  std::swap(shape.front(), shape[static_cast<std::size_t>(g.between(0, signed_size(shape) - 1))]);
  if (g.chance(20)) shape[static_cast<std::size_t>(g.between(0, signed_size(shape) - 1))] = -1;
  return add_all(g, kind, {Grower::argument("x", *x), g.integers("shape", shape)}, kExact);
}

bool transpose(Grower& g, OpKind kind) {
  const auto x = with_rank(g, 1);
  if (!x) return false;
  Integers perm(g.type(*x).shape.size());
  std::iota(perm.begin(), perm.end(), 0);
  for (std::size_t i = perm.size(); i-- > 1;) {
    std::swap(perm[i], perm[static_cast<std::size_t>(g.between(0, static_cast<std::int64_t>(i)))]);
  }
  for (std::int64_t& axis : perm) axis = either_way(g, axis, perm.size());
  return add_all(g, kind, {Grower::argument("x", *x), g.integers("perm", perm)}, kExact);
}

bool expand_dims(Grower& g, OpKind kind) {
  const auto x = with_rank(g, 0, 4);
  if (!x) return false;
  const std::size_t rank = g.type(*x).shape.size() + 1;
  const std::int64_t axis = either_way(g, g.between(0, static_cast<std::int64_t>(rank) - 1), rank);
  return add_all(g, kind, {Grower::argument("x", *x), g.integers("axes", {axis})}, kExact);
}

bool squeeze(Grower& g, OpKind kind) {
  const auto x = g.find([&](ValueId v) {
    const Shape& shape = g.type(v).shape;
    return std::find(shape.begin(), shape.end(), 1) != shape.end();
  });
  if (!x) return false;
  std::vector<Argument> arguments{Grower::argument("x", *x)};
  const Shape& shape = g.type(*x).shape;
  Integers axes;
  for (std::int64_t axis = 0; axis < signed_size(shape); ++axis) {
    if (shape[static_cast<std::size_t>(axis)] == 1 && (axes.empty() || g.chance(50))) axes.push_back(axis);
  }
  if (g.chance(70)) arguments.push_back(g.integers("axes", axes));
  return add_all(g, kind, std::move(arguments), kExact);
}

bool slice_by_size(Grower& g, OpKind kind) {
  const auto x = with_rank(g, 1);
  if (!x) return false;
  Integers begin;
  Integers size;
  for (const std::int64_t dim : g.type(*x).shape) {
    begin.push_back(g.between(0, dim - 1));
    size.push_back(g.chance(20) ? -1 : g.between(1, dim - begin.back()));
  }
  return add_all(g, kind, {Grower::argument("x", *x), g.integers("begin", begin), g.integers("size", size)}, kExact);
}

bool slice_by_index(Grower& g, OpKind kind) {
  const auto x = with_rank(g, 1);
  if (!x) return false;
  static const Integers steps{1, 1, 1, 2, 3, -1, -2};
  Integers begin;
  Integers end;
  Integers stride;
  Integers begin_mask;
  Integers end_mask;
  Integers squeeze_mask;
  for (const std::int64_t dim : g.type(*x).shape) {
    const std::int64_t step = g.one_of(steps);
    const std::int64_t first = g.between(0, dim - 1);
    const bool to_the_end = g.chance(20) || (step < 0 && first == 0);
    begin_mask.push_back(g.chance(15) && to_the_end ? 1 : 0);
    end_mask.push_back(to_the_end ? 1 : 0);
    squeeze_mask.push_back(g.chance(15) && begin_mask.back() == 0 ? 1 : 0);
    begin.push_back(g.chance(20) ? first - dim : first);
    end.push_back(to_the_end ? 0 : step > 0 ? g.between(first + 1, dim) : g.between(0, first - 1));
    stride.push_back(step);
  }
  return add_all(
      g, kind,
      {Grower::argument("x", *x), g.integers("begin", begin), g.integers("end", end), g.integers("stride", stride),
       g.flags("begin_mask", begin_mask), g.flags("end_mask", end_mask), g.flags("squeeze_mask", squeeze_mask)},
      kExact);
}

/// `count` values with the shape of `x` except for `free_axis`, if given.
std::vector<ValueId> alike(Grower& g, ValueId x, std::int64_t count, std::optional<std::size_t> free_axis) {
  const TensorType type = g.type(x);
  std::vector<ValueId> values{x};
  while (signed_size(values) < count) {
    const auto found = g.find([&](ValueId v) {
      Shape shape = g.type(v).shape;
      if (free_axis && shape.size() == type.shape.size()) shape[*free_axis] = type.shape[*free_axis];
      return g.type(v).dtype == type.dtype && shape == type.shape;
    });
    TensorType other = type;
    if (free_axis && g.chance(50)) other.shape[*free_axis] = g.between(1, 4);
    values.push_back(found && g.chance(60) ? *found : g.value(other));
  }
  std::swap(values.front(), values[static_cast<std::size_t>(g.between(0, count - 1))]);
  return values;
}

bool concat(Grower& g, OpKind kind) {
  const auto x = with_rank(g, 1);
  if (!x || mil::element_count(g.type(*x).shape) > 2100) return false;
  const std::size_t rank = g.type(*x).shape.size();
  const std::int64_t axis = g.between(0, static_cast<std::int64_t>(rank) - 1);
  const bool interleave = g.chance(20);
  const auto values =
      alike(g, *x, g.between(1, 4), interleave ? std::nullopt : std::optional(static_cast<std::size_t>(axis)));
  std::vector<Argument> arguments{Grower::arguments("values", values), g.integer("axis", either_way(g, axis, rank))};
  if (interleave || g.chance(50)) arguments.push_back(g.flag("interleave", interleave));
  return add_all(g, kind, std::move(arguments), kExact);
}

bool stack(Grower& g, OpKind kind) {
  const auto x = with_rank(g, 0, 4);
  if (!x || mil::element_count(g.type(*x).shape) > 2100) return false;
  const std::size_t rank = g.type(*x).shape.size() + 1;
  const std::int64_t axis = g.between(0, static_cast<std::int64_t>(rank) - 1);
  const auto values = alike(g, *x, g.between(1, 3), std::nullopt);
  return add_all(g, kind, {Grower::arguments("values", values), g.integer("axis", either_way(g, axis, rank))}, kExact);
}

bool split(Grower& g, OpKind kind) {
  const auto x = with_rank(g, 1);
  if (!x) return false;
  const Shape& shape = g.type(*x).shape;
  const std::int64_t axis = g.between(0, signed_size(shape) - 1);
  const std::int64_t size = shape[static_cast<std::size_t>(axis)];
  std::vector<Argument> arguments{Grower::argument("x", *x), g.integer("axis", either_way(g, axis, shape.size()))};
  const std::int64_t parts = std::min<std::int64_t>(size, g.between(2, 4));
  if (size % parts == 0 && g.chance(50)) {
    arguments.push_back(g.integer("num_splits", parts));
  } else {
    Integers sizes(static_cast<std::size_t>(parts), 1);
    for (std::int64_t left = size - parts; left > 0;) {
      const std::int64_t more = g.between(1, left);
      sizes[static_cast<std::size_t>(g.between(0, parts - 1))] += more;
      left -= more;
    }
    arguments.push_back(g.integers("split_sizes", sizes));
  }
  return add_all(g, kind, std::move(arguments), kExact);
}

bool pad(Grower& g, OpKind kind) {
  const auto x = with_rank(g, 1);
  if (!x) return false;
  const TensorType type = g.type(*x);
  static const std::vector<std::string> modes{"constant", "reflect", "replicate"};
  const std::string mode = g.one_of(modes);
  Integers list;
  for (std::int64_t i = g.between(0, signed_size(type.shape) - 1); i < signed_size(type.shape); ++i) {
    const std::int64_t most =
        mode == "reflect" ? std::min<std::int64_t>(4, type.shape[static_cast<std::size_t>(i)] - 1) : 4;
    list.insert(list.end(), {g.between(0, most), g.between(0, most)});
  }
  std::vector<Argument> arguments{Grower::argument("x", *x), g.integers("pad", list)};
  if (mode != "constant" || g.chance(50)) arguments.push_back(g.text("mode", mode));
  if (g.is_real(*x) && g.chance(60)) {
    arguments.push_back(g.real("constant_val", type.dtype, static_cast<float>(g.between(-9, 9))));
  }
  return add_all(g, kind, std::move(arguments), kExact);
}

bool tile(Grower& g, OpKind kind) {
  const auto x = with_rank(g, 1);
  if (!x) return false;
  static const Integers times{1, 1, 1, 2, 2, 3, 64, 1025};
  Integers reps;
  std::int64_t elements = 1;
  for (const std::int64_t dim : g.type(*x).shape) {
    reps.push_back(elements * dim > 2100 ? 1 : g.one_of(times));
    elements *= dim * reps.back();
  }
  return add_all(g, kind, {Grower::argument("x", *x), g.integers("reps", reps)}, kExact);
}

bool gather(Grower& g, OpKind kind) {
  const auto x = with_rank(g, 1, 4);
  if (!x) return false;
  const Shape shape = g.type(*x).shape;
  const std::int64_t axis = g.between(0, signed_size(shape) - 1);
  const std::int64_t batch = g.chance(30) ? g.between(0, axis) : 0;
  reference::Tensor indices{{DType::int32, Shape(shape.begin(), shape.begin() + batch)}, {}};
  const Shape more = g.chance(20) && batch == 0 ? Shape{} : Shape{g.between(1, 5)};
  indices.type.shape.insert(indices.type.shape.end(), more.begin(), more.end());
  const std::int64_t size = shape[static_cast<std::size_t>(axis)];
  // At run time they are converted from fp16, which must represent them.
  const bool constant = g.chance(50) || size > 2000 || mil::element_count(indices.type.shape) > 2100;
  for (std::int64_t i = 0; i < mil::element_count(indices.type.shape); ++i) {
    indices.data.push_back(static_cast<double>(g.between(-size, size - 1)));
  }
  std::vector<Argument> arguments{Grower::argument("x", *x),
                                  Grower::argument("indices", constant ? g.constant(indices) : g.at_run_time(indices)),
                                  g.integer("axis", either_way(g, axis, shape.size()))};
  if (batch > 0 || g.chance(30)) arguments.push_back(g.integer("batch_dims", batch));
  return add_all(g, kind, std::move(arguments), kExact);
}

bool gather_along_axis(Grower& g, OpKind kind) {
  const auto x = with_rank(g, 1, 5);
  if (!x) return false;
  Shape shape = g.type(*x).shape;
  const std::int64_t axis = g.between(0, signed_size(shape) - 1);
  const std::int64_t size = std::exchange(shape[static_cast<std::size_t>(axis)], g.between(1, 5));
  if (mil::element_count(shape) > 2100) return false;
  reference::Tensor indices{{DType::int32, shape}, {}};
  const bool constant = g.chance(50) || size > 2000;  // as for gather
  for (std::int64_t i = 0; i < mil::element_count(shape); ++i) {
    indices.data.push_back(static_cast<double>(g.between(-size, size - 1)));
  }
  return add_all(
      g, kind,
      {Grower::argument("x", *x), Grower::argument("indices", constant ? g.constant(indices) : g.at_run_time(indices)),
       g.integer("axis", either_way(g, axis, shape.size()))},
      kExact);
}

bool range_1d(Grower& g, OpKind kind) {
  const DType dtype = g.chance(50) ? g.element() : DType::int32;
  const std::int64_t start = g.between(-5, 5);
  const std::int64_t step = g.chance(50) ? g.between(1, 3) : g.between(-3, -1);
  const auto scalar = [&](std::string_view name, std::int64_t number) {
    return mil::is_float(dtype) ? g.real(name, dtype, static_cast<float>(number))
                                : g.compile_time(name, {{dtype, {}}, Integers{number}});
  };
  return add_all(
      g, kind, {scalar("start", start), scalar("step", step), scalar("end", start + step * g.between(1, 70))}, kExact);
}

bool shape(Grower& g, OpKind kind) {
  const auto x = with_rank(g, 1);
  return x && add_all(g, kind, {Grower::argument("x", *x)}, kExact);
}

/// `scale` and perhaps `zero_point` of type `small`, along an axis of `x` or for all of it. Quotients by the scale are
/// exact.
std::vector<Argument> scales(Grower& g, const TensorType& x, DType scale_type, DType small) {
  const std::int64_t axis = g.between(0, signed_size(x.shape) - 1);
  const bool vectors = g.chance(50);
  const Shape along = vectors ? Shape{x.shape[static_cast<std::size_t>(axis)]} : Shape{};
  static const std::vector<double> powers_of_two{0.25, 0.5, 1, 2};
  reference::Tensor scale{{scale_type, along}, {}};
  for (std::int64_t i = 0; i < mil::element_count(along); ++i) scale.data.push_back(g.one_of(powers_of_two));
  std::vector<Argument> arguments{g.data("scale", scale)};
  if (g.chance(60)) arguments.push_back(g.data("zero_point", g.elements({small, along})));
  if (vectors) arguments.push_back(g.integer("axis", either_way(g, axis, x.shape.size())));
  return arguments;
}

bool quantize(Grower& g, OpKind kind) {
  const auto x = g.find([&](ValueId v) { return g.is_real(v) && g.is_exact(v) && !g.type(v).shape.empty(); });
  if (!x) return false;
  const TensorType type = g.type(*x);
  const DType small = g.chance(50) ? DType::int8 : DType::uint8;
  std::vector<Argument> arguments = scales(g, type, type.dtype, small);
  arguments.push_back(Grower::argument("input", *x));
  arguments.push_back(g.text("output_dtype", std::string(mil::name(small))));
  return add_all(g, kind, std::move(arguments), kExact);
}

bool dequantize(Grower& g, OpKind kind) {
  const auto found = g.find([&](ValueId v) {
    const TensorType& type = g.type(v);
    return (type.dtype == DType::int8 || type.dtype == DType::uint8) && !type.shape.empty();
  });
  const ValueId x = found ? *found : g.value({g.chance(50) ? DType::int8 : DType::uint8, g.shape(1, 4)});
  std::vector<Argument> arguments = scales(g, g.type(x), g.element(), g.type(x).dtype);
  arguments.push_back(Grower::argument("input", x));
  return add_all(g, kind, std::move(arguments), kExact);
}

/// `bits` bits for each element of `shape`, in bytes.
reference::Tensor packed_bits(Grower& g, const Shape& shape, std::int64_t bits) {
  const std::int64_t count = mil::element_count(shape) * bits;
  reference::Tensor bytes{{DType::uint8, {(count + 7) / 8}}, {}};
  for (std::int64_t left = count; left > 0; left -= 8) {
    bytes.data.push_back(static_cast<double>(g.between(0, (1 << std::min<std::int64_t>(left, 8)) - 1)));
  }
  return bytes;
}

DType stored_type(Grower& g) {
  static const std::vector<DType> types{DType::fp16, DType::fp32, DType::int8, DType::uint8};
  return g.one_of(types);
}

Argument shape_attribute(const Shape& shape) {
  return {"shape", {mil::Constant{{DType::uint32, {signed_size(shape)}}, shape}}, false};
}

bool lut_to_dense(Grower& g, OpKind kind) {
  static const Integers widths{1, 2, 4, 6, 8};
  const std::int64_t bits = g.one_of(widths);
  const Shape shape = g.shape(1, 4);
  return !g.add(kind, {}, kExact,
                {g.data("indices", packed_bits(g, shape, bits)),
                 g.data("lut", g.elements({stored_type(g), {std::int64_t{1} << bits}})), shape_attribute(shape)})
              .empty();
}

bool sparse_to_dense(Grower& g, OpKind kind) {
  const Shape shape = g.shape(1, 4);
  reference::Tensor mask = packed_bits(g, shape, 1);
  std::int64_t set = 0;
  for (const double byte : mask.data) set += std::popcount(static_cast<unsigned>(byte));
  if (set == 0) return false;
  return !g.add(kind, {}, kExact,
                {g.data("mask", mask), g.data("nonzero_data", g.elements({stored_type(g), {set}})),
                 shape_attribute(shape)})
              .empty();
}

bool affine_dequantize(Grower& g, OpKind kind) {
  const TensorType type{g.chance(50) ? DType::int8 : DType::uint8, g.shape(1, 4)};
  const std::int64_t axis = g.between(0, signed_size(type.shape) - 1);
  const auto along = [&](DType dtype) {
    const bool scalar = g.chance(50);
    return g.elements({dtype, scalar ? Shape{} : Shape{type.shape[static_cast<std::size_t>(axis)]}});
  };
  std::vector<Argument> attributes{g.data("quantized_data", g.elements(type)),
                                   g.data("scale", along(g.element())),
                                   g.data("zero_point", along(type.dtype)),
                                   {"axis", {mil::Constant{{DType::int32, {}}, Integers{axis}}}, false}};
  return !g.add(kind, {}, kExact, std::move(attributes)).empty();
}

constexpr std::array kGenerators{
    OperationGenerator{OpKind::conv, 4, conv},
    OperationGenerator{OpKind::matmul, 4, matmul},
    OperationGenerator{OpKind::linear, 2, linear},
    OperationGenerator{OpKind::einsum, 3, einsum},
    OperationGenerator{OpKind::add, 2, sum},
    OperationGenerator{OpKind::sub, 2, sum},
    OperationGenerator{OpKind::mul, 2, product},
    OperationGenerator{OpKind::real_div, 1, quotient},
    OperationGenerator{OpKind::pow, 1, power},
    OperationGenerator{OpKind::maximum, 1, extreme},
    OperationGenerator{OpKind::minimum, 1, extreme},
    OperationGenerator{OpKind::greater, 1, comparison},
    OperationGenerator{OpKind::greater_equal, 1, comparison},
    OperationGenerator{OpKind::less, 1, comparison},
    OperationGenerator{OpKind::less_equal, 1, comparison},
    OperationGenerator{OpKind::equal, 1, comparison},
    OperationGenerator{OpKind::not_equal, 1, comparison},
    OperationGenerator{OpKind::floor_div, 1, floored},
    OperationGenerator{OpKind::mod, 1, floored},
    OperationGenerator{OpKind::logical_and, 1, logical},
    OperationGenerator{OpKind::logical_or, 1, logical},
    OperationGenerator{OpKind::logical_xor, 1, logical},
    OperationGenerator{OpKind::abs, 1, piecewise},
    OperationGenerator{OpKind::sign, 1, stepped},
    OperationGenerator{OpKind::floor, 1, stepped},
    OperationGenerator{OpKind::ceil, 1, stepped},
    OperationGenerator{OpKind::round, 1, stepped},
    OperationGenerator{OpKind::exp, 1, exponential},
    OperationGenerator{OpKind::log, 1, from_one_on},
    OperationGenerator{OpKind::sqrt, 1, from_one_on},
    OperationGenerator{OpKind::rsqrt, 1, from_one_on},
    OperationGenerator{OpKind::inverse, 1, from_one_on},
    OperationGenerator{OpKind::square, 1, square},
    OperationGenerator{OpKind::sin, 1, smooth},
    OperationGenerator{OpKind::cos, 1, smooth},
    OperationGenerator{OpKind::tanh, 1, smooth},
    OperationGenerator{OpKind::erf, 1, smooth},
    OperationGenerator{OpKind::sigmoid, 1, smooth},
    OperationGenerator{OpKind::relu, 1, piecewise},
    OperationGenerator{OpKind::leaky_relu, 1, piecewise},
    OperationGenerator{OpKind::silu, 1, smooth},
    OperationGenerator{OpKind::gelu, 1, smooth},
    OperationGenerator{OpKind::softplus, 1, smooth},
    OperationGenerator{OpKind::clip, 1, piecewise},
    OperationGenerator{OpKind::cast, 2, cast},
    OperationGenerator{OpKind::identity, 2, identity},
    OperationGenerator{OpKind::logical_not, 1, logical_not},
    OperationGenerator{OpKind::select, 3, select},
    OperationGenerator{OpKind::softmax, 2, softmax},
    OperationGenerator{OpKind::reduce_sum, 2, reduction},
    OperationGenerator{OpKind::reduce_mean, 1, reduction},
    OperationGenerator{OpKind::reduce_max, 2, reduction},
    OperationGenerator{OpKind::reduce_min, 1, reduction},
    OperationGenerator{OpKind::reduce_sum_square, 1, reduction},
    OperationGenerator{OpKind::reduce_l2_norm, 1, reduction},
    OperationGenerator{OpKind::reduce_argmax, 1, reduce_arg},
    OperationGenerator{OpKind::reduce_argmin, 1, reduce_arg},
    OperationGenerator{OpKind::layer_norm, 2, layer_norm},
    OperationGenerator{OpKind::scaled_dot_product_attention, 2, attention},
    OperationGenerator{OpKind::topk, 2, topk},
    OperationGenerator{OpKind::max_pool, 2, pool},
    OperationGenerator{OpKind::avg_pool, 2, pool},
    OperationGenerator{OpKind::reshape, 6, reshape},
    OperationGenerator{OpKind::transpose, 6, transpose},
    OperationGenerator{OpKind::expand_dims, 3, expand_dims},
    OperationGenerator{OpKind::squeeze, 3, squeeze},
    OperationGenerator{OpKind::slice_by_size, 4, slice_by_size},
    OperationGenerator{OpKind::slice_by_index, 6, slice_by_index},
    OperationGenerator{OpKind::concat, 8, concat},
    OperationGenerator{OpKind::split, 5, split},
    OperationGenerator{OpKind::stack, 5, stack},
    OperationGenerator{OpKind::pad, 5, pad},
    OperationGenerator{OpKind::tile, 6, tile},
    OperationGenerator{OpKind::gather, 5, gather},
    OperationGenerator{OpKind::gather_along_axis, 3, gather_along_axis},
    OperationGenerator{OpKind::range_1d, 1, range_1d},
    OperationGenerator{OpKind::shape, 1, shape},
    OperationGenerator{OpKind::quantize, 2, quantize},
    OperationGenerator{OpKind::dequantize, 2, dequantize},
    OperationGenerator{OpKind::constexpr_affine_dequantize, 3, affine_dequantize},
    OperationGenerator{OpKind::constexpr_lut_to_dense, 2, lut_to_dense},
    OperationGenerator{OpKind::constexpr_sparse_to_dense, 2, sparse_to_dense},
};

}  // namespace

std::span<const OperationGenerator> operation_generators() { return kGenerators; }

}  // namespace ane::device::host
