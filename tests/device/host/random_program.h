#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ane/mil/blob.h"
#include "ane/mil/ops.h"
#include "ane/mil/program.h"

#include "reference.h"

/// Random programs whose results are known: every operation is evaluated by the reference interpreter as it is added.
///
/// Values are small integers as long as operations keep them so, and then every device must compute them exactly, in
/// any order of summation. Other values carry an error bound; operations that would magnify the error, or that are
/// discontinuous, get only exact values.
namespace ane::device::host {

struct RandomProgram {
  mil::Program program;
  mil::Blobs blobs;
  std::vector<reference::Tensor> inputs;
  std::vector<reference::Tensor> outputs;  ///< expected results
  std::vector<double> errors;              ///< tolerance of each output, absolute; 0 if exact
  bool closed = false;                     ///< the outputs do not depend on the inputs' values
};

/// Depends only on the seed.
[[nodiscard]] RandomProgram random_program(std::uint64_t seed);

/// How an operation's result deviates from the reference's.
struct Effect {
  double gain = 1;     ///< times the largest error of an operand
  double own = 0;      ///< absolute error of computing in fp32, in addition to tolerance_of() times the largest result
  bool exact = false;  ///< the operation itself is exact: neither `own` nor the tolerance apply
};

/// A program under construction.
class ProgramGrower {
 public:
  explicit ProgramGrower(std::uint64_t seed);

  // Choices.
  std::int64_t between(std::int64_t low, std::int64_t high);  ///< inclusive
  bool chance(int percent) { return between(0, 99) < percent; }
  template <class T>
  const T& one_of(const std::vector<T>& all) {
    return all[static_cast<std::size_t>(between(0, static_cast<std::int64_t>(all.size()) - 1))];
  }
  mil::DType element() const noexcept { return element_; }  ///< fp16 or fp32, of most values
  std::int64_t dimension();                                 ///< mostly small, sometimes near a block size
  mil::Shape shape(std::size_t least_rank, std::size_t most_rank);
  /// A shape that broadcasts to `shape` by itself or together with others.
  mil::Shape broadcastable_to(const mil::Shape& shape);
  std::vector<std::int64_t> axes_of(std::size_t rank);  ///< at least one

  // Values.
  using Predicate = std::function<bool(mil::ValueId)>;
  /// A random suitable value, preferring recent ones.
  std::optional<mil::ValueId> find(const Predicate& fits);
  [[nodiscard]] const reference::Tensor& tensor(mil::ValueId value) const { return values_.at(value); }
  [[nodiscard]] const mil::TensorType& type(mil::ValueId value) const { return tensor(value).type; }
  [[nodiscard]] double error(mil::ValueId value) const { return errors_[value]; }
  [[nodiscard]] bool is_exact(mil::ValueId value) const { return errors_[value] == 0; }
  [[nodiscard]] double least(mil::ValueId value) const;
  [[nodiscard]] double largest(mil::ValueId value) const;  ///< in magnitude
  [[nodiscard]] bool is_real(mil::ValueId value) const { return mil::is_float(type(value).dtype); }
  /// A value of a computable type: fp16, fp32 or int32.
  [[nodiscard]] bool is_number(mil::ValueId value) const {
    return is_real(value) || type(value).dtype == mil::DType::int32;
  }
  std::optional<mil::ValueId> real() {
    return find([this](mil::ValueId value) { return is_real(value); });
  }
  std::optional<mil::ValueId> exact_real() {
    return find([this](mil::ValueId value) { return is_real(value) && is_exact(value); });
  }

  /// Small integers, or patterns with special handling in the device.
  reference::Tensor elements(const mil::TensorType& type);
  mil::ValueId constant(reference::Tensor elements);            ///< in the text or in a blob file
  mil::ValueId at_run_time(const reference::Tensor& elements);  ///< the same elements, but not known at compile time
  mil::ValueId value(const mil::TensorType& type);              ///< a constant, or derived from other values
  std::optional<mil::ValueId> at_least_one(mil::DType dtype);   ///< a value with no element below 1

  // Arguments.
  [[nodiscard]] static mil::Argument argument(std::string_view name, mil::ValueId value);
  [[nodiscard]] static mil::Argument arguments(std::string_view name, const std::vector<mil::ValueId>& values);
  mil::Argument compile_time(std::string_view name, mil::Constant constant);  ///< inline or named
  mil::Argument integers(std::string_view name, const std::vector<std::int64_t>& list);
  mil::Argument integer(std::string_view name, std::int64_t number);
  mil::Argument flags(std::string_view name, const std::vector<std::int64_t>& list);
  mil::Argument flag(std::string_view name, bool value);
  mil::Argument text(std::string_view name, std::string value);
  mil::Argument real(std::string_view name, mil::DType dtype, float number);
  /// A constant, inline or in a blob file.
  mil::Argument data(std::string_view name, const reference::Tensor& elements);

  /// Appends an operation and returns its results; nullopt if they were too large or not finite and it was undone.
  std::vector<mil::ValueId> add(mil::OpKind kind, std::vector<mil::Argument> arguments, const Effect& effect,
                                std::vector<mil::Argument> attributes = {});

  RandomProgram finish(bool closed) &&;

 private:
  friend RandomProgram random_program(std::uint64_t seed);
  mil::Function& main() { return program_.functions.front(); }
  mil::ValueId define(const reference::Tensor& value, double error);
  void add_inputs();
  mil::ValueId of_others(const mil::TensorType& wanted, mil::ValueId source);
  [[nodiscard]] mil::Constant in_blob(const reference::Tensor& elements);

  std::mt19937_64 random_;
  mil::DType element_;
  mil::Program program_;
  mil::Blobs blobs_;
  reference::Values values_;
  std::vector<double> errors_;   ///< by value
  mil::ValueId zero_ = 0;        ///< a scalar 0, computed from an input
  std::size_t first_value_ = 0;  ///< earlier values are hidden: inputs of a closed program
};

/// Generator of one kind of operation.
struct OperationGenerator {
  mil::OpKind kind;
  int weight;  ///< relative frequency
  /// Returns false if the program has no suitable values.
  bool (*add)(ProgramGrower& grower, mil::OpKind kind);
};

/// One for every kind except constants, which the others generate.
[[nodiscard]] std::span<const OperationGenerator> operation_generators();

}  // namespace ane::device::host
