#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ane/mil/program.h"

namespace ane::mil {

/// A handle to a value of the program under construction.
struct Var {
  ValueId id = 0;
};

/// Builds the `main` function of a program, one operation per call. Types are inferred immediately, and an ill-typed
/// operation throws TypeError naming the operation, the expected and the actual type. Compile-time arguments become
/// named const operations (rule A21), shared if equal; names are made unique by a suffix.
class Builder {
 public:
  /// `element` is the float type of the builder's scalars: fp16 on the ANE, fp32 to verify gradients on the host.
  explicit Builder(DType element, Dialect dialect = Dialect::ios18);

  Var input(std::string_view name, Shape shape);  ///< of the element type
  Var input(std::string_view name, TensorType type);

  // Constants.
  Var blob(std::string_view name, Shape shape, std::string_view path, std::uint64_t offset = 64);  ///< element type
  Var scalar(float value);                              ///< of the element type, rounded to it
  Var constant(std::string_view name, Constant value);  ///< fp16 elements are rounded

  // Products.
  Var conv1x1(std::string_view name, Var x, Var weight);  ///< x [1, Ci, 1, S], weight [Co, Ci, 1, 1] -> [1, Co, 1, S]
  Var matmul(std::string_view name, Var x, Var y, bool transpose_x = false, bool transpose_y = false);

  // Elementwise, numpy broadcasting.
  Var binary(OpKind kind, std::string_view name, Var x, Var y);
  Var unary(OpKind kind, std::string_view name, Var x);
  Var add(std::string_view name, Var x, Var y) { return binary(OpKind::add, name, x, y); }
  Var sub(std::string_view name, Var x, Var y) { return binary(OpKind::sub, name, x, y); }
  Var mul(std::string_view name, Var x, Var y) { return binary(OpKind::mul, name, x, y); }
  Var sigmoid(std::string_view name, Var x) { return unary(OpKind::sigmoid, name, x); }
  Var relu(std::string_view name, Var x) { return unary(OpKind::relu, name, x); }

  // Along axes.
  Var softmax(std::string_view name, Var x, int axis = -1);
  Var reduce(OpKind kind, std::string_view name, Var x, std::vector<std::int64_t> axes, bool keep_dims = true);

  // Shape and position.
  Var reshape(std::string_view name, Var x, Shape shape);
  Var transpose(std::string_view name, Var x, std::vector<std::int64_t> perm);
  Var slice(std::string_view name, Var x, std::vector<std::int64_t> begin, std::vector<std::int64_t> size);
  Var concat(std::string_view name, std::span<const Var> values, int axis);

  /// Any operation, for those without their own method; arguments use MIL's names.
  std::vector<Var> operation(OpKind kind, std::string_view name, std::vector<Argument> arguments);
  /// Compile-time values as named, shared consts (`name` is used if no equal one exists yet).
  Var integers(std::string_view name, std::vector<std::int64_t> values);
  Var integer(std::string_view name, std::int64_t value);
  Var boolean(std::string_view name, bool value);
  Var text(std::string_view name, std::string_view value);

  [[nodiscard]] const TensorType& type(Var value) const;
  [[nodiscard]] DType element() const noexcept { return element_; }

  /// Finishes the program. Every output must be the result of a live operation (ane.md 2.2), whose name it keeps.
  [[nodiscard]] Program finish(std::span<const Var> outputs) &&;

 private:
  Var define(std::string_view name, Constant value);
  Var share(std::string_view name, Constant value);
  Var integers(std::vector<std::int64_t> values);
  Var integer(std::int64_t value);
  Var flag(bool value);
  Var append_one(OpKind kind, std::string_view name, std::vector<Argument> arguments);
  std::vector<Var> append(OpKind kind, std::string_view name, Operation operation);
  std::string unique_name(std::string_view wanted);
  Function& main() { return program_.functions.front(); }

  DType element_;
  Program program_;
  std::map<std::string, int, std::less<>> names_;
  std::vector<std::pair<Constant, Var>> shared_constants_;
};

}  // namespace ane::mil
