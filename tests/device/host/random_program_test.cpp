#include <algorithm>
#include <optional>

#include "harness.h"
#include "support/catch.h"
#include "support/sanitized.h"

namespace ane::device::host {
namespace {

using mil::Builder;
using mil::DType;
using mil::OpKind;
using mil::Shape;
using mil::Var;

/// Grows a program by random operations on random values. Elementwise functions are smooth and have slopes of at most
/// about 1, so that rounding differences do not grow; nothing is compared or cut off.
class RandomProgram {
 public:
  RandomProgram(std::uint32_t seed, DType dtype) : random_(seed), builder_(dtype) {
    for (const char* name : {"in_a", "in_b", "in_c"}) values_.push_back(builder_.input(name, {dtype, {1, 12, 1, 32}}));
  }

  mil::Program grow(int operations) {
    for (int i = 0; i < operations; ++i) add_operation();
    std::vector<Var> outputs;
    for (std::size_t i = values_.size(); i-- > 3 && outputs.size() < 3;) {
      if (pick(2) == 0 || i + 1 == values_.size()) outputs.push_back(values_[i]);
    }
    return std::move(builder_).finish(outputs);
  }

 private:
  std::size_t pick(std::size_t count) { return std::uniform_int_distribution<std::size_t>(0, count - 1)(random_); }
  Var any() { return values_[pick(values_.size())]; }
  const Shape& shape(Var value) { return builder_.type(value).shape; }

  std::optional<Var> other_of(const Shape& wanted) {
    std::vector<Var> fitting;
    for (const Var value : values_) {
      if (shape(value) == wanted) fitting.push_back(value);
    }
    return fitting.empty() ? std::nullopt : std::optional(fitting[pick(fitting.size())]);
  }

  void add_operation() {
    const Var x = any();
    switch (pick(9)) {
      case 0:
        return values_.push_back(builder_.unary(pick(2) == 0 ? OpKind::tanh : OpKind::sigmoid, "u", x));
      case 1:
      case 2:
        return values_.push_back(average(x, *other_of(shape(x))));
      case 3:
        return values_.push_back(transposed(x));
      case 4:
        return values_.push_back(reshaped(x));
      case 5:
        return values_.push_back(half_of(x));
      case 6:
        return join(x);
      case 7:
        return values_.push_back(fold(x));
      default:
        return multiply(x);
    }
  }

  Var average(Var x, Var y) {
    const Var sum = pick(2) == 0 ? builder_.add("s", x, y) : builder_.sub("d", x, y);
    return builder_.mul("h", sum, builder_.scalar(0.5F));
  }

  Var transposed(Var x) {
    std::vector<std::int64_t> perm(shape(x).size());
    for (std::size_t i = 0; i < perm.size(); ++i) perm[i] = static_cast<std::int64_t>(i);
    std::shuffle(perm.begin(), perm.end(), random_);
    return builder_.transpose("t", x, perm);
  }

  Var reshaped(Var x) {
    const std::int64_t count = mil::element_count(shape(x));
    std::vector<Shape> shapes{{1, count, 1, 1}, {1, 1, 1, count}};
    for (const std::int64_t d : {2, 3, 4, 6, 8, 12}) {
      if (count % d == 0) shapes.insert(shapes.end(), {{1, d, 1, count / d}, {1, 1, count / d, d}});
      if (count % (2 * d) == 0) shapes.push_back({1, d, 2, count / d / 2});
    }
    return builder_.reshape("r", x, shapes[pick(shapes.size())]);
  }

  Var half_of(Var x) {
    const std::size_t axis = pick(shape(x).size());
    Shape begin(shape(x).size(), 0);
    Shape size = shape(x);
    size[axis] = (size[axis] + 1) / 2;
    begin[axis] = static_cast<std::int64_t>(pick(static_cast<std::size_t>(shape(x)[axis] - size[axis]) + 1));
    return builder_.slice("p", x, begin, size);
  }

  void join(Var x) {
    if (mil::element_count(shape(x)) > 4096) return;
    const std::vector<Var> parts{x, *other_of(shape(x)), *other_of(shape(x))};
    values_.push_back(builder_.concat("c", parts, static_cast<int>(pick(shape(x).size()))));
  }

  Var fold(Var x) {
    const auto axis = static_cast<std::int64_t>(pick(shape(x).size()));
    if (pick(2) == 0) return builder_.softmax("m", x, static_cast<int>(axis));
    const Var mean = builder_.reduce(OpKind::reduce_mean, "a", x, {axis});
    return builder_.sub("centred", x, mean);
  }

  /// x times its own transpose, divided by the length of the sum.
  void multiply(Var x) {
    const Shape s = shape(x);  // a copy: adding values moves them
    if (s.size() < 2 || s[s.size() - 2] > 64) return;
    const Var product = builder_.matmul("g", x, x, false, true);
    values_.push_back(builder_.mul("n", product, builder_.scalar(1.0F / static_cast<float>(s.back()))));
  }

  std::mt19937 random_;
  Builder builder_;
  std::vector<Var> values_;
};

TEST_CASE("random programs agree with the reference", "[device][host][random]") {
  const std::uint32_t seed = GENERATE(range(1U, kSanitized ? 31U : 101U));
  const int operations = GENERATE(6, 20);
  CAPTURE(seed, operations);
  check_against_reference(RandomProgram(seed, DType::fp32).grow(operations), seed, 2e-5);
  // fp16: a unit in the last place an operation, of which at most a dozen follow one another undamped.
  check_against_reference(RandomProgram(seed, DType::fp16).grow(operations), seed, 12 * tolerance_of(DType::fp16));
}

}  // namespace
}  // namespace ane::device::host
