#include "reference.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>

#include "ane/math/half.h"
#include "ane/mil/geometry.h"
#include "ane/mil/op_view.h"

namespace ane::device::host::reference {
namespace {

using mil::DType;
using mil::OpKind;
using mil::OpView;
using mil::Shape;

/// One number per axis, without an allocation, because every element of every tensor has one.
class Index {
 public:
  explicit Index(std::size_t size = 0) : size_(size) {
    if (size > kMostAxes) throw std::length_error("an index of too many axes");
  }
  Index(std::initializer_list<std::int64_t> values) : Index(values.begin(), values.end()) {}
  template <class Iterator>
  Index(Iterator first, Iterator last) : size_(0) {
    append(first, last);
  }

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::int64_t* begin() { return values_.data(); }
  [[nodiscard]] std::int64_t* end() { return begin() + size_; }
  [[nodiscard]] const std::int64_t* begin() const { return values_.data(); }
  [[nodiscard]] const std::int64_t* end() const { return begin() + size_; }
  std::int64_t& operator[](std::size_t axis) { return values_.at(axis); }
  std::int64_t operator[](std::size_t axis) const { return values_.at(axis); }
  [[nodiscard]] std::int64_t& back() { return (*this)[size_ - 1]; }
  [[nodiscard]] std::int64_t back() const { return (*this)[size_ - 1]; }

  void push_back(std::int64_t value) { values_.at(size_++) = value; }
  template <class Iterator>
  void append(Iterator first, Iterator last) {
    while (first != last) push_back(*first++);
  }
  void insert(std::size_t axis, std::int64_t value) {
    push_back(value);
    std::rotate(begin() + axis, end() - 1, end());
  }
  void erase(std::size_t axis) {
    std::copy(begin() + axis + 1, end(), begin() + axis);
    --size_;
  }

 private:
  static constexpr std::size_t kMostAxes = 16;  // einsum has the most
  std::array<std::int64_t, kMostAxes> values_{};
  std::size_t size_;
};

std::int64_t linear(const Shape& shape, const Index& index) {
  std::int64_t place = 0;
  for (std::size_t i = 0; i < shape.size(); ++i) place = place * shape[i] + index[i];
  return place;
}

/// Calls body(index) for every index of `shape`, the last one fastest.
template <class Body>
void for_each(const Shape& shape, const Body& body) {
  Index index(shape.size());
  for (std::int64_t left = mil::element_count(shape); left > 0; --left) {
    body(std::as_const(index));
    for (std::size_t i = shape.size(); i-- > 0 && ++index[i] == shape[i];) index[i] = 0;
  }
}

double at(const Tensor& tensor, const Index& index) {
  return tensor.data.at(static_cast<std::size_t>(linear(tensor.type.shape, index)));
}

/// numpy's broadcasting: aligned right, a dimension of 1 repeats.
double at_broadcast(const Tensor& tensor, const Index& index) {
  const Shape& shape = tensor.type.shape;
  std::int64_t place = 0;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    place = place * shape[i] + (shape[i] == 1 ? 0 : index[index.size() - shape.size() + i]);
  }
  return tensor.data.at(static_cast<std::size_t>(place));
}

template <class Element>
Tensor make(const mil::TensorType& type, const Element& element) {
  Tensor result{type, {}};
  result.data.reserve(static_cast<std::size_t>(mil::element_count(type.shape)));
  for_each(type.shape, [&](const Index& index) { result.data.push_back(round_to(type.dtype, element(index))); });
  return result;
}

double read_element(DType dtype, const std::byte* from) {
  const auto read = [&]<class T>(T value) {
    std::memcpy(&value, from, sizeof(T));
    return value;
  };
  switch (dtype) {
    case DType::fp16:
      return math::to_float(read(math::Half{}));
    case DType::fp32:
      return read(float{});
    case DType::int8:
      return read(std::int8_t{});
    case DType::uint8:
      return read(std::uint8_t{});
    case DType::int16:
      return read(std::int16_t{});
    case DType::uint16:
      return read(std::uint16_t{});
    case DType::int32:
      return read(std::int32_t{});
    default:
      return read(std::uint8_t{}) != 0 ? 1 : 0;
  }
}

double unary(const OpView& op, double x) {
  switch (op.kind()) {
    case OpKind::abs:
      return std::abs(x);
    case OpKind::sign:
      return x > 0 ? 1 : x < 0 ? -1 : x;
    case OpKind::floor:
      return std::floor(x);
    case OpKind::ceil:
      return std::ceil(x);
    case OpKind::round:
      return std::nearbyint(x);
    case OpKind::exp:
      return std::exp(x);
    case OpKind::log:
      return std::log(x + static_cast<double>(op.real("epsilon", 1e-45F)));
    case OpKind::sqrt:
      return std::sqrt(x);
    case OpKind::rsqrt:
      return 1 / std::sqrt(x + static_cast<double>(op.real("epsilon", 1e-12F)));
    case OpKind::inverse:
      return 1 / (x + static_cast<double>(op.real("epsilon", 1e-4F)));
    case OpKind::square:
      return x * x;
    case OpKind::sin:
      return std::sin(x);
    case OpKind::cos:
      return std::cos(x);
    case OpKind::tanh:
      return std::tanh(x);
    case OpKind::erf:
      return std::erf(x);
    case OpKind::sigmoid:
      return 1 / (1 + std::exp(-x));
    case OpKind::relu:
      return x < 0 ? 0 : x;
    case OpKind::leaky_relu:
      return x < 0 ? static_cast<double>(op.real("alpha", 0)) * x : x;
    case OpKind::silu:
      return x / (1 + std::exp(-x));
    case OpKind::gelu: {
      const std::string mode = op.text("mode", "EXACT");
      if (mode == "TANH_APPROXIMATION") {
        return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
      }
      if (mode == "SIGMOID_APPROXIMATION") return x / (1 + std::exp(-1.702 * x));
      return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
    }
    case OpKind::softplus:
      return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x)));
    case OpKind::clip:
      return std::clamp(x, static_cast<double>(op.real("alpha", 0)), static_cast<double>(op.real("beta", 0)));
    case OpKind::logical_not:
      return x == 0 ? 1 : 0;
    case OpKind::cast: {
      const DType to = op.result_type().dtype;
      if (to == DType::boolean) return x != 0 ? 1 : 0;
      return mil::is_float(op.type("x").dtype) && !mil::is_float(to) ? std::trunc(x) : x;
    }
    default:
      return x;
  }
}

double binary(OpKind kind, double x, double y) {
  switch (kind) {
    case OpKind::add:
      return x + y;
    case OpKind::sub:
      return x - y;
    case OpKind::mul:
      return x * y;
    case OpKind::real_div:
      return x / y;
    case OpKind::pow:
      return std::pow(x, y);
    case OpKind::maximum:
      return std::max(x, y);
    case OpKind::minimum:
      return std::min(x, y);
    case OpKind::floor_div:
      return std::floor(x / y);
    case OpKind::mod:
      return x - std::floor(x / y) * y;
    case OpKind::logical_and:
      return x != 0 && y != 0 ? 1 : 0;
    case OpKind::logical_or:
      return x != 0 || y != 0 ? 1 : 0;
    case OpKind::logical_xor:
      return (x != 0) != (y != 0) ? 1 : 0;
    case OpKind::greater:
      return x > y ? 1 : 0;
    case OpKind::greater_equal:
      return x >= y ? 1 : 0;
    case OpKind::less:
      return x < y ? 1 : 0;
    case OpKind::less_equal:
      return x <= y ? 1 : 0;
    case OpKind::equal:
      return x == y ? 1 : 0;
    case OpKind::not_equal:
      return x != y ? 1 : 0;
    default:
      throw std::logic_error("not a binary operation");
  }
}

class Interpreter {
 public:
  Interpreter(const mil::Function& function, const Values& values, const mil::Blobs& blobs)
      : function_(function), values_(values), blobs_(blobs) {}

  std::vector<Tensor> evaluate(const OpView& op) const;

 private:
  Tensor constant(const mil::Constant& constant) const {
    Tensor result{constant.type, {}};
    if (const auto* reals = std::get_if<std::vector<float>>(&constant.data)) {
      result.data.assign(reals->begin(), reals->end());
    } else if (const auto* integers = std::get_if<std::vector<std::int64_t>>(&constant.data)) {
      for (const std::int64_t value : *integers) result.data.push_back(static_cast<double>(value));
    } else if (const auto* ref = std::get_if<mil::BlobRef>(&constant.data)) {
      const auto bytes = mil::read_blob(blobs_, *ref, constant.type);
      const std::size_t size = mil::element_bytes(constant.type.dtype);
      for (std::size_t i = 0; i < bytes.size(); i += size) {
        result.data.push_back(read_element(constant.type.dtype, bytes.data() + i));
      }
    }
    return result;
  }

  Tensor value(const mil::Operand& operand) const {
    if (const auto* written = std::get_if<mil::Constant>(&operand)) return constant(*written);
    return values_.at(std::get<mil::ValueId>(operand));
  }
  Tensor value(const OpView& op, std::string_view argument) const { return value(op.operand(argument)); }

  Tensor matmul(const OpView& op) const;
  Tensor linear_layer(const OpView& op) const;
  Tensor conv(const OpView& op) const;
  Tensor attention(const OpView& op) const;
  Tensor softmax(const OpView& op) const;
  Tensor reduce(const OpView& op) const;
  Tensor layer_norm(const OpView& op) const;
  Tensor transpose(const OpView& op) const;
  Tensor slice(const OpView& op) const;
  std::vector<Tensor> split(const OpView& op) const;
  Tensor join(const OpView& op) const;
  Tensor pad(const OpView& op) const;
  Tensor gather(const OpView& op) const;
  Tensor gather_along_axis(const OpView& op) const;
  Tensor einsum(const OpView& op) const;
  Tensor reduce_arg(const OpView& op) const;
  std::vector<Tensor> topk(const OpView& op) const;
  Tensor pool(const OpView& op) const;
  Tensor quantize(const OpView& op) const;
  Tensor dequantize(const OpView& op, std::string_view data) const;
  Tensor lut_to_dense(const OpView& op) const;
  Tensor sparse_to_dense(const OpView& op) const;

  const mil::Function& function_;
  const Values& values_;
  const mil::Blobs& blobs_;
};

std::vector<Tensor> Interpreter::evaluate(const OpView& op) const {
  switch (op.kind()) {
    case OpKind::constant:
      return {constant(*mil::constant_of(function_, mil::Operand(op.operation().results.front())))};
    case OpKind::conv:
      return {conv(op)};
    case OpKind::matmul:
      return {matmul(op)};
    case OpKind::linear:
      return {linear_layer(op)};
    case OpKind::scaled_dot_product_attention:
      return {attention(op)};
    case OpKind::softmax:
      return {softmax(op)};
    case OpKind::reduce_sum:
    case OpKind::reduce_mean:
    case OpKind::reduce_max:
    case OpKind::reduce_min:
    case OpKind::reduce_sum_square:
    case OpKind::reduce_l2_norm:
      return {reduce(op)};
    case OpKind::layer_norm:
      return {layer_norm(op)};
    case OpKind::reshape:
    case OpKind::expand_dims:
    case OpKind::squeeze:
      return {{op.result_type(), value(op, "x").data}};
    case OpKind::transpose:
      return {transpose(op)};
    case OpKind::slice_by_size:
    case OpKind::slice_by_index:
      return {slice(op)};
    case OpKind::split:
      return split(op);
    case OpKind::concat:
    case OpKind::stack:
      return {join(op)};
    case OpKind::pad:
      return {pad(op)};
    case OpKind::tile: {
      const Tensor x = value(op, "x");
      return {make(op.result_type(), [&](Index index) {
        for (std::size_t i = 0; i < index.size(); ++i) index[i] %= x.type.shape[i];
        return at(x, index);
      })};
    }
    case OpKind::gather:
      return {gather(op)};
    case OpKind::gather_along_axis:
      return {gather_along_axis(op)};
    case OpKind::einsum:
      return {einsum(op)};
    case OpKind::reduce_argmax:
    case OpKind::reduce_argmin:
      return {reduce_arg(op)};
    case OpKind::topk:
      return topk(op);
    case OpKind::max_pool:
    case OpKind::avg_pool:
      return {pool(op)};
    case OpKind::range_1d: {
      const double start = value(op, "start").data[0];
      const double step = value(op, "step").data[0];
      return {make(op.result_type(), [&](const Index& index) { return start + static_cast<double>(index[0]) * step; })};
    }
    case OpKind::shape: {
      const Shape& shape = op.type("x").shape;
      return {{op.result_type(), {shape.begin(), shape.end()}}};
    }
    case OpKind::quantize:
      return {quantize(op)};
    case OpKind::dequantize:
      return {dequantize(op, "input")};
    case OpKind::constexpr_affine_dequantize:
      return {dequantize(op, "quantized_data")};
    case OpKind::constexpr_lut_to_dense:
      return {lut_to_dense(op)};
    case OpKind::constexpr_sparse_to_dense:
      return {sparse_to_dense(op)};
    case OpKind::select: {
      const Tensor cond = value(op, "cond");
      const Tensor a = value(op, "a");
      const Tensor b = value(op, "b");
      return {make(op.result_type(), [&](const Index& index) {
        return at_broadcast(cond, index) != 0 ? at_broadcast(a, index) : at_broadcast(b, index);
      })};
    }
    default:
      break;
  }
  const Tensor x = value(op, "x");
  if (!op.has("y")) {
    return {make(op.result_type(), [&](const Index& index) { return unary(op, at(x, index)); })};
  }
  const Tensor y = value(op, "y");
  return {make(op.result_type(),
               [&](const Index& index) { return binary(op.kind(), at_broadcast(x, index), at_broadcast(y, index)); })};
}

Tensor Interpreter::matmul(const OpView& op) const {
  Tensor x = value(op, "x");
  Tensor y = value(op, "y");
  const bool row = x.type.shape.size() == 1;
  const bool column = y.type.shape.size() == 1;
  const bool transpose_x = !row && op.flag("transpose_x", false);
  const bool transpose_y = !column && op.flag("transpose_y", false);
  if (row) x.type.shape = {1, x.type.shape[0]};
  if (column) y.type.shape = {y.type.shape[0], 1};
  const std::int64_t depth = transpose_x ? x.type.shape[x.type.shape.size() - 2] : x.type.shape.back();
  return make(op.result_type(), [&](Index index) {
    if (row) index.insert(index.size() - (column ? 0 : 1), 0);
    if (column) index.push_back(0);
    double sum = 0;
    for (std::int64_t k = 0; k < depth; ++k) {
      Index left = index;
      Index right = index;
      left.back() = k;
      right[right.size() - 2] = k;
      if (transpose_x) std::swap(left[left.size() - 1], left[left.size() - 2]);
      if (transpose_y) std::swap(right[right.size() - 1], right[right.size() - 2]);
      sum += at_broadcast(x, left) * at_broadcast(y, right);
    }
    return sum;
  });
}

Tensor Interpreter::linear_layer(const OpView& op) const {
  const Tensor x = value(op, "x");
  const Tensor weight = value(op, "weight");
  const std::optional<Tensor> bias = op.has("bias") ? std::optional(value(op, "bias")) : std::nullopt;
  return make(op.result_type(), [&](const Index& index) {
    double sum = bias ? at(*bias, {index.back()}) : 0;
    for (std::int64_t k = 0; k < weight.type.shape[1]; ++k) {
      Index from = index;
      from.back() = k;
      sum += at(x, from) * at(weight, {index.back(), k});
    }
    return sum;
  });
}

Tensor Interpreter::conv(const OpView& op) const {
  const Tensor x = value(op, "x");
  const Tensor weight = value(op, "weight");
  const std::optional<Tensor> bias = op.has("bias") ? std::optional(value(op, "bias")) : std::nullopt;
  const mil::ConvGeometry geometry = mil::conv_geometry(op);
  const std::int64_t channels = geometry.in_channels / geometry.groups;
  Shape taps{channels};
  for (const mil::ConvDimension& dim : geometry.dimensions) taps.push_back(dim.kernel);
  return make(op.result_type(), [&](const Index& index) {
    double sum = bias ? at(*bias, {index[1]}) : 0;
    const std::int64_t group = index[1] / (geometry.out_channels / geometry.groups);
    for_each(taps, [&](const Index& tap) {
      Index from{index[0], group * channels + tap[0]};
      Index weight_index{index[1]};
      weight_index.append(tap.begin(), tap.end());
      bool inside = true;
      for (std::size_t i = 0; i < geometry.dimensions.size(); ++i) {
        const mil::ConvDimension& dim = geometry.dimensions[i];
        from.push_back(index[i + 2] * dim.stride + tap[i + 1] * dim.dilation - dim.pad_begin);
        inside = inside && from.back() >= 0 && from.back() < dim.in;
      }
      if (inside) sum += at(x, from) * at(weight, weight_index);
    });
    return sum;
  });
}

Tensor Interpreter::attention(const OpView& op) const {
  const Tensor query = value(op, "query");
  const Tensor key = value(op, "key");
  const Tensor val = value(op, "value");
  const std::optional<Tensor> mask = op.has("attn_mask") ? std::optional(value(op, "attn_mask")) : std::nullopt;
  const std::int64_t width = query.type.shape.back();
  const std::int64_t keys = key.type.shape[key.type.shape.size() - 2];
  return make(op.result_type(), [&](const Index& index) {
    const auto with = [&](std::int64_t row, std::int64_t column) {
      Index other = index;
      other[other.size() - 2] = row;
      other.back() = column;
      return other;
    };
    const std::int64_t position = index[index.size() - 2];
    std::vector<double> weights;
    for (std::int64_t j = 0; j < keys; ++j) {
      double score = 0;
      for (std::int64_t e = 0; e < width; ++e) score += at(query, with(position, e)) * at(key, with(j, e));
      score /= std::sqrt(static_cast<double>(width));
      if (mask) {
        const double m = at_broadcast(*mask, with(position, j));
        const bool boolean = mask->type.dtype == DType::boolean;
        score = !boolean ? score + m : m != 0 ? score : -std::numeric_limits<double>::infinity();
      }
      weights.push_back(score);
    }
    const double most = *std::max_element(weights.begin(), weights.end());
    double total = 0;
    double sum = 0;
    for (std::int64_t j = 0; j < keys; ++j) {
      const double weight = std::exp(weights[static_cast<std::size_t>(j)] - most);
      total += weight;
      sum += weight * at(val, with(j, index.back()));
    }
    return sum / total;
  });
}

Tensor Interpreter::softmax(const OpView& op) const {
  const Tensor x = value(op, "x");
  const std::size_t axis = mil::axis_of(op);
  return make(op.result_type(), [&](const Index& index) {
    double most = -std::numeric_limits<double>::infinity();
    double total = 0;
    Index other = index;
    for (other[axis] = 0; other[axis] < x.type.shape[axis]; ++other[axis]) most = std::max(most, at(x, other));
    for (other[axis] = 0; other[axis] < x.type.shape[axis]; ++other[axis]) total += std::exp(at(x, other) - most);
    return std::exp(at(x, index) - most) / total;
  });
}

Tensor Interpreter::reduce(const OpView& op) const {
  const Tensor x = value(op, "x");
  const std::vector<std::size_t> axes = mil::axes_of(op);
  const auto reduced = [&](std::size_t axis) { return std::find(axes.begin(), axes.end(), axis) != axes.end(); };
  Shape kept;
  for (std::size_t i = 0; i < x.type.shape.size(); ++i) {
    if (!reduced(i)) kept.push_back(x.type.shape[i]);
  }
  std::vector<std::vector<double>> members(static_cast<std::size_t>(mil::element_count(kept)));
  for_each(x.type.shape, [&](const Index& index) {
    Index outer;
    for (std::size_t i = 0; i < index.size(); ++i) {
      if (!reduced(i)) outer.push_back(index[i]);
    }
    members[static_cast<std::size_t>(linear(kept, outer))].push_back(at(x, index));
  });
  Tensor result{op.result_type(), {}};
  for (const std::vector<double>& group : members) {
    double sum = 0;
    double squares = 0;
    for (const double element : group) {
      sum += element;
      squares += element * element;
    }
    double folded = sum;
    if (op.kind() == OpKind::reduce_mean) folded = sum / static_cast<double>(group.size());
    if (op.kind() == OpKind::reduce_max) folded = *std::max_element(group.begin(), group.end());
    if (op.kind() == OpKind::reduce_min) folded = *std::min_element(group.begin(), group.end());
    if (op.kind() == OpKind::reduce_sum_square) folded = squares;
    if (op.kind() == OpKind::reduce_l2_norm) folded = std::sqrt(squares);
    result.data.push_back(round_to(result.type.dtype, folded));
  }
  return result;
}

Tensor Interpreter::layer_norm(const OpView& op) const {
  const Tensor x = value(op, "x");
  const std::vector<std::size_t> axes = mil::axes_of(op);
  Shape inner;
  for (const std::size_t axis : axes) inner.push_back(x.type.shape[axis]);
  const auto count = static_cast<double>(mil::element_count(inner));
  const std::optional<Tensor> gamma = op.has("gamma") ? std::optional(value(op, "gamma")) : std::nullopt;
  const std::optional<Tensor> beta = op.has("beta") ? std::optional(value(op, "beta")) : std::nullopt;
  return make(op.result_type(), [&](const Index& index) {
    double mean = 0;
    double variance = 0;
    const auto each = [&](const std::function<void(double)>& body) {
      for_each(inner, [&](const Index& part) {
        Index other = index;
        for (std::size_t i = 0; i < axes.size(); ++i) other[axes[i]] = part[i];
        body(at(x, other));
      });
    };
    each([&](double v) { mean += v / count; });
    each([&](double v) { variance += (v - mean) * (v - mean) / count; });
    Index own;
    for (const std::size_t axis : axes) own.push_back(index[axis]);
    const double normal = (at(x, index) - mean) / std::sqrt(variance + static_cast<double>(op.real("epsilon", 1e-5F)));
    return normal * (gamma ? at(*gamma, own) : 1) + (beta ? at(*beta, own) : 0);
  });
}

Tensor Interpreter::transpose(const OpView& op) const {
  const Tensor x = value(op, "x");
  const auto perm = op.integers("perm");
  return make(op.result_type(), [&](const Index& index) {
    Index from(index.size());
    for (std::size_t i = 0; i < index.size(); ++i) {
      const std::int64_t axis = perm[i] < 0 ? perm[i] + static_cast<std::int64_t>(perm.size()) : perm[i];
      from[static_cast<std::size_t>(axis)] = index[i];
    }
    return at(x, from);
  });
}

Tensor Interpreter::slice(const OpView& op) const {
  const Tensor x = value(op, "x");
  const std::vector<mil::SliceAxis> axes = mil::slice_geometry(op);
  return make(op.result_type(), [&](const Index& index) {
    Index from;
    std::size_t next = 0;
    for (const mil::SliceAxis& axis : axes)
      from.push_back(axis.begin + axis.step * (axis.squeezed ? 0 : index[next++]));
    return at(x, from);
  });
}

std::vector<Tensor> Interpreter::split(const OpView& op) const {
  const Tensor x = value(op, "x");
  const std::size_t axis = mil::axis_of(op);
  std::vector<Tensor> parts;
  std::int64_t begin = 0;
  for (std::size_t i = 0; i < op.operation().results.size(); ++i) {
    parts.push_back(make(op.result_type(i), [&](Index index) {
      index[axis] += begin;
      return at(x, index);
    }));
    begin += op.result_type(i).shape[axis];
  }
  return parts;
}

Tensor Interpreter::join(const OpView& op) const {
  std::vector<Tensor> parts;
  for (const mil::Operand& operand : op.operands("values")) parts.push_back(value(operand));
  const std::size_t axis = mil::axis_of(op);
  const auto count = static_cast<std::int64_t>(parts.size());
  return make(op.result_type(), [&](Index index) {
    std::int64_t& place = index[axis];
    if (op.kind() == OpKind::stack) {
      const auto part = static_cast<std::size_t>(place);
      index.erase(axis);
      return at(parts[part], index);
    }
    if (op.flag("interleave", false)) {
      const auto part = static_cast<std::size_t>(place % count);
      place /= count;
      return at(parts[part], index);
    }
    std::size_t part = 0;
    while (place >= parts[part].type.shape[axis]) place -= parts[part++].type.shape[axis];
    return at(parts[part], index);
  });
}

Tensor Interpreter::pad(const OpView& op) const {
  const Tensor x = value(op, "x");
  const std::vector<mil::PadAxis> axes = mil::pad_geometry(op);
  const std::string mode = op.text("mode", "constant");
  return make(op.result_type(), [&](Index index) {
    for (std::size_t i = 0; i < index.size(); ++i) {
      const std::int64_t size = x.type.shape[i];
      std::int64_t& place = index[i];
      place -= axes[i].before;
      if (place >= 0 && place < size) continue;
      if (mode == "constant") return static_cast<double>(op.real("constant_val", 0));
      if (mode == "replicate") place = place < 0 ? 0 : size - 1;
      if (mode == "reflect") place = place < 0 ? -place : 2 * (size - 1) - place;
    }
    return at(x, index);
  });
}

Tensor Interpreter::gather(const OpView& op) const {
  const Tensor x = value(op, "x");
  const Tensor indices = value(op, "indices");
  const std::size_t axis = mil::axis_of(op);
  const auto batch = static_cast<std::size_t>(op.integer("batch_dims", 0));
  const std::size_t own = indices.type.shape.size() - batch;
  return make(op.result_type(), [&](const Index& index) {
    Index from(index.begin(), index.begin() + axis);
    Index which(index.begin(), index.begin() + batch);
    for (std::size_t i = 0; i < own; ++i) which.push_back(index[axis + i]);
    auto place = static_cast<std::int64_t>(at(indices, which));
    if (place < 0) place += x.type.shape[axis];
    from.push_back(place);
    from.append(index.begin() + axis + own, index.end());
    return at(x, from);
  });
}

Tensor Interpreter::gather_along_axis(const OpView& op) const {
  const Tensor x = value(op, "x");
  const Tensor indices = value(op, "indices");
  const std::size_t axis = mil::axis_of(op);
  return make(op.result_type(), [&](Index index) {
    const auto place = static_cast<std::int64_t>(at(indices, index));
    index[axis] = place < 0 ? place + x.type.shape[axis] : place;
    return at(x, index);
  });
}

/// The sum over all letters that are missing in the result, one assignment of letters at a time.
Tensor Interpreter::einsum(const OpView& op) const {
  const std::string equation = op.text("equation", "");
  std::vector<std::string> groups(1);
  for (const char c : equation) {
    if (std::isalpha(static_cast<unsigned char>(c)) != 0) groups.back() += c;
    if (c == ',' || c == '>') groups.emplace_back();
  }
  const Tensor x = value(op.operands("values")[0]);
  const Tensor y = value(op.operands("values")[1]);
  std::string summed;
  Shape sizes;
  for (std::size_t i = 0; i < groups[0].size() + groups[1].size(); ++i) {
    const bool first = i < groups[0].size();
    const std::size_t place = first ? i : i - groups[0].size();
    const char letter = groups[first ? 0 : 1][place];
    if ((groups[2] + summed).find(letter) != std::string::npos) continue;
    summed += letter;
    sizes.push_back((first ? x : y).type.shape[place]);
  }
  const std::string letters = groups[2] + summed;
  const auto at_letters = [&](const Tensor& tensor, const std::string& labels, const Index& all) {
    Index own;
    for (std::size_t i = 0; i < labels.size(); ++i) {
      own.push_back(tensor.type.shape[i] == 1 ? 0 : all[letters.find(labels[i])]);
    }
    return at(tensor, own);
  };
  return make(op.result_type(), [&](const Index& index) {
    double sum = 0;
    for_each(sizes, [&](const Index& rest) {
      Index all = index;
      all.append(rest.begin(), rest.end());
      sum += at_letters(x, groups[0], all) * at_letters(y, groups[1], all);
    });
    return sum;
  });
}

Tensor Interpreter::reduce_arg(const OpView& op) const {
  const Tensor x = value(op, "x");
  const std::size_t axis = mil::axis_of(op);
  const bool keep = op.flag("keep_dims", false);
  return make(op.result_type(), [&](Index index) {
    if (!keep) index.insert(axis, 0);
    std::int64_t best = 0;
    index[axis] = 0;
    double most = at(x, index);
    for (std::int64_t i = 1; i < x.type.shape[axis]; ++i) {
      index[axis] = i;
      const double element = at(x, index);
      if (op.kind() == OpKind::reduce_argmax ? element > most : element < most) {
        most = element;
        best = i;
      }
    }
    return static_cast<double>(best);
  });
}

std::vector<Tensor> Interpreter::topk(const OpView& op) const {
  const Tensor x = value(op, "x");
  const std::size_t axis = mil::axis_of(op);
  const bool ascending = op.flag("ascending", false);
  std::vector<Tensor> results;
  for (std::size_t r = 0; r < op.operation().results.size(); ++r) {
    const mil::TensorType& type = op.result_type(r);
    results.push_back({type, std::vector<double>(static_cast<std::size_t>(mil::element_count(type.shape)))});
  }
  const std::int64_t kept = op.result_type().shape[axis];
  Shape lanes = x.type.shape;
  lanes[axis] = 1;
  for_each(lanes, [&](Index index) {
    std::vector<std::pair<double, std::int64_t>> lane;
    for (index[axis] = 0; index[axis] < x.type.shape[axis]; ++index[axis]) lane.emplace_back(at(x, index), index[axis]);
    std::stable_sort(lane.begin(), lane.end(),
                     [&](const auto& a, const auto& b) { return ascending ? a.first < b.first : a.first > b.first; });
    for (index[axis] = 0; index[axis] < kept; ++index[axis]) {
      const auto& [element, position] = lane[static_cast<std::size_t>(index[axis])];
      const auto place = static_cast<std::size_t>(linear(op.result_type().shape, index));
      for (std::size_t r = 0; r < results.size(); ++r)
        results[r].data[place] = r == 0 ? element : static_cast<double>(position);
    }
  });
  return results;
}

Tensor Interpreter::pool(const OpView& op) const {
  const Tensor x = value(op, "x");
  const std::vector<mil::ConvDimension> dimensions = mil::pool_geometry(op);
  const bool exclude = op.flag("exclude_padding_from_average", false);
  Shape taps;
  for (const mil::ConvDimension& dim : dimensions) taps.push_back(dim.kernel);
  return make(op.result_type(), [&](const Index& index) {
    double most = -std::numeric_limits<double>::infinity();
    double sum = 0;
    std::int64_t inside = 0;
    std::int64_t with_padding = 0;
    for_each(taps, [&](const Index& tap) {
      Index from{index[0], index[1]};
      bool in_x = true;
      bool in_padding = true;
      for (std::size_t i = 0; i < dimensions.size(); ++i) {
        const mil::ConvDimension& dim = dimensions[i];
        const std::int64_t place = index[i + 2] * dim.stride + tap[i] - dim.pad_begin;
        from.push_back(place);
        in_x = in_x && place >= 0 && place < dim.in;
        in_padding = in_padding && place < dim.in + dim.pad_end;
      }
      if (in_padding) ++with_padding;
      if (!in_x) return;
      ++inside;
      sum += at(x, from);
      most = std::max(most, at(x, from));
    });
    return op.kind() == OpKind::max_pool ? most : sum / static_cast<double>(exclude ? inside : with_padding);
  });
}

/// The element for `index` of a scalar or a vector along the operation's axis.
double along_axis(const OpView& op, const Tensor& tensor, const Index& index) {
  if (tensor.type.is_scalar()) return tensor.data[0];
  const std::int64_t axis = op.integer("axis", 0);
  return tensor.data[static_cast<std::size_t>(
      index[static_cast<std::size_t>(axis < 0 ? axis + static_cast<std::int64_t>(index.size()) : axis)])];
}

Tensor Interpreter::quantize(const OpView& op) const {
  const Tensor x = value(op, "input");
  const Tensor scale = value(op, "scale");
  const std::optional<Tensor> zero = op.has("zero_point") ? std::optional(value(op, "zero_point")) : std::nullopt;
  const bool is_signed = op.result_type().dtype == DType::int8;
  return make(op.result_type(), [&](const Index& index) {
    const double whole = std::nearbyint(at(x, index) / along_axis(op, scale, index));
    return std::clamp<double>(whole + (zero ? along_axis(op, *zero, index) : 0), is_signed ? -128 : 0,
                              is_signed ? 127 : 255);
  });
}

Tensor Interpreter::dequantize(const OpView& op, std::string_view data) const {
  const Tensor x = value(op, data);
  const Tensor scale = value(op, "scale");
  const std::optional<Tensor> zero = op.has("zero_point") ? std::optional(value(op, "zero_point")) : std::nullopt;
  return make(op.result_type(), [&](const Index& index) {
    return along_axis(op, scale, index) * (at(x, index) - (zero ? along_axis(op, *zero, index) : 0));
  });
}

/// Bit `i` of packed bytes, the lowest of each byte first.
int bit_of(const Tensor& bytes, std::int64_t i) {
  return static_cast<int>(bytes.data.at(static_cast<std::size_t>(i / 8))) >> (i % 8) & 1;
}

Tensor Interpreter::lut_to_dense(const OpView& op) const {
  const Tensor indices = value(op, "indices");
  const Tensor table = value(op, "lut");
  const auto bits = static_cast<std::int64_t>(std::lround(std::log2(static_cast<double>(table.data.size()))));
  return make(op.result_type(), [&](const Index& index) {
    const std::int64_t place = linear(op.result_type().shape, index);
    std::size_t entry = 0;
    for (std::int64_t b = 0; b < bits; ++b) entry += static_cast<std::size_t>(bit_of(indices, place * bits + b)) << b;
    return table.data[entry];
  });
}

Tensor Interpreter::sparse_to_dense(const OpView& op) const {
  const Tensor mask = value(op, "mask");
  const Tensor values = value(op, "nonzero_data");
  return make(op.result_type(), [&](const Index& index) {
    const std::int64_t place = linear(op.result_type().shape, index);
    if (bit_of(mask, place) == 0) return 0.0;
    std::size_t before = 0;
    for (std::int64_t i = 0; i < place; ++i) before += static_cast<std::size_t>(bit_of(mask, i));
    return values.data[before];
  });
}

}  // namespace

double round_to(DType dtype, double value) {
  if (dtype == DType::fp32) return static_cast<float>(value);
  if (dtype != DType::fp16 || value == 0 || !std::isfinite(value)) return value;
  // Straight from double: through float it would be rounded twice.
  const int exponent = std::max(std::ilogb(value), -14);
  const double quantum = std::ldexp(1.0, exponent - 10);
  const double rounded = std::nearbyint(value / quantum) * quantum;
  return std::abs(rounded) > 65504 ? std::copysign(std::numeric_limits<double>::infinity(), value) : rounded;
}

std::vector<Tensor> evaluate(const OpView& op, const Values& values, const mil::Blobs& blobs) {
  return Interpreter(op.function(), values, blobs).evaluate(op);
}

std::vector<Tensor> interpret(const mil::Function& function, const mil::Blobs& blobs,
                              const std::vector<Tensor>& inputs) {
  Values values;
  for (std::size_t i = 0; i < inputs.size(); ++i) values[function.inputs[i]] = inputs[i];
  for (const mil::Operation& operation : function.operations) {
    std::vector<Tensor> results = evaluate(OpView(function, operation), values, blobs);
    for (std::size_t i = 0; i < results.size(); ++i) values[operation.results[i]] = std::move(results[i]);
  }
  std::vector<Tensor> outputs;
  for (const mil::ValueId output : function.outputs) outputs.push_back(values.at(output));
  return outputs;
}

}  // namespace ane::device::host::reference
