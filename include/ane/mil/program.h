#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "ane/mil/ops.h"
#include "ane/mil/types.h"

/// A MIL program as typed SSA, shared by builder, printer and parser.
namespace ane::mil {

/// The declared version of a text: program(1.3). Version 1.0 writes every scalar as tensor<T, []>, later ones write it
/// bare (ane.md 2.1).
enum class Version : std::uint8_t { v1_0, v1_3, v1_5 };
[[nodiscard]] std::string_view name(Version version) noexcept;  ///< "1.3"
[[nodiscard]] std::optional<Version> version_from_name(std::string_view name) noexcept;

/// The operation set that a function declares: func main<ios18>.
enum class OpSet : std::uint8_t { ios13, ios14, ios15, ios16, ios17, ios18, ios26 };
[[nodiscard]] std::string_view name(OpSet opset) noexcept;  ///< "ios18"
[[nodiscard]] std::optional<OpSet> opset_from_name(std::string_view name) noexcept;

/// The pairs of version and operation set that a Builder writes: program(1.0) with ios16, program(1.3) with ios18.
enum class Dialect : std::uint8_t { ios16, ios18 };

/// 1-based position in the text; 0 if it came from a builder. Never part of a comparison.
struct SourceLocation {
  int line = 0;
  int column = 0;
  friend bool operator==(const SourceLocation&, const SourceLocation&) { return true; }
};

/// A constant's bytes in a blob file: `offset` names the record, not the data (ane.md, section 3).
struct BlobRef {
  std::string path;
  std::uint64_t offset = 64;
  friend bool operator==(const BlobRef&, const BlobRef&) = default;
};

/// Elements in row-major order. Floats hold fp16 and fp32 alike (an fp16 constant is already rounded); integers hold
/// every integer type and bool (0 or 1).
using ConstantData = std::variant<std::vector<float>, std::vector<std::int64_t>, std::vector<std::string>, BlobRef>;

struct Constant {
  TensorType type;
  ConstantData data;
  /// Floats are equal if they print the same: 0 and -0 differ, NaN equals NaN.
  friend bool operator==(const Constant& a, const Constant& b);
};

/// Index into Function::values.
using ValueId = std::uint32_t;

struct Value {
  std::string name;
  TensorType type;
  friend bool operator==(const Value&, const Value&) = default;
};

/// The operand of an argument: a value, or an inline constant.
using Operand = std::variant<ValueId, Constant>;

struct Argument {
  std::string name;
  std::vector<Operand> operands;  ///< one, or any number for a tuple such as values=(a, b)
  bool is_tuple = false;
  friend bool operator==(const Argument&, const Argument&) = default;
};

struct Operation {
  OpKind kind = OpKind::constant;
  std::vector<Argument> arguments;   ///< in written order
  std::vector<Argument> attributes;  ///< in brackets, without `name`: `val` of a constant, the data of constexpr_*
  std::vector<ValueId> results;
  std::string name;  ///< the `name` attribute
  SourceLocation where;
  friend bool operator==(const Operation&, const Operation&) = default;
};

/// Values are numbered in order of definition: inputs first, then each operation's results. Every operand is defined
/// before it is used.
struct Function {
  std::string name;
  OpSet opset = OpSet::ios18;
  std::vector<Value> values;
  std::vector<ValueId> inputs;
  std::vector<Operation> operations;
  std::vector<ValueId> outputs;
  friend bool operator==(const Function&, const Function&) = default;

  [[nodiscard]] const Value& value(ValueId id) const { return values[id]; }
};

struct Program {
  Version version = Version::v1_3;
  std::vector<std::pair<std::string, std::string>> build_info;  ///< key and text, in written order
  std::vector<Function> functions;
  friend bool operator==(const Program&, const Program&) = default;

  /// The function `main`, or else the first one. Throws Error if there are no functions.
  [[nodiscard]] const Function& main() const;
};

/// The buildInfo that every project copies verbatim (ane.md 2.1).
[[nodiscard]] std::vector<std::pair<std::string, std::string>> default_build_info(Dialect dialect);

/// The operation that computes value `id`; null for a function's input.
[[nodiscard]] const Operation* defining_operation(const Function& function, ValueId id);

/// The constant value of `operand`: inline, or the `val` of the const operation that defines it; null if it is computed
/// at run time.
[[nodiscard]] const Constant* constant_of(const Function& function, const Operand& operand);

}  // namespace ane::mil
