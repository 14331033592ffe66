#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "ane/mil/ane_rules.h"
#include "ane/mil/builder.h"

#include "support/catch.h"

/// Shared by the tests of the rules: small programs, and expected violations.
namespace ane::mil {

inline Argument named(std::string_view name, Var value) { return {std::string(name), {Operand(value.id)}, false}; }
inline Argument in_place(std::string_view name, Constant value) {
  return {std::string(name), {Operand(std::move(value))}, false};
}

/// One input 'x', one output.
inline Program with_input(const TensorType& type, const std::function<Var(Builder&, Var)>& body,
                          DType element = DType::fp16, Dialect dialect = Dialect::ios18) {
  Builder builder(element, dialect);
  const Var x = builder.input("x", type);
  const Var y = body(builder, x);
  return std::move(builder).finish(std::vector{y});
}
inline Program with_input(Shape shape, const std::function<Var(Builder&, Var)>& body) {
  return with_input(TensorType{DType::fp16, std::move(shape)}, body);
}

/// Any operation on x with compile-time arguments.
inline Var apply(Builder& builder, OpKind kind, std::vector<Argument> arguments) {
  return builder.operation(kind, "y", std::move(arguments)).front();
}

inline std::vector<std::string> broken_rules(const Program& program, const Blobs* blobs = nullptr) {
  std::vector<std::string> ids;
  for (const Diagnostic& diagnostic : check_for_ane(program, blobs)) ids.push_back(diagnostic.rule);
  return ids;
}

inline void passes(const Program& program, const Blobs* blobs = nullptr) {
  CHECK(broken_rules(program, blobs) == std::vector<std::string>{});
}

inline constexpr Severity kRefusal = Severity::refusal;

/// Checks that the program breaks only `rule`, once, and that the finding has this place and message.
inline void breaks(const Program& program, std::string_view rule, Severity severity, std::string_view where,
                   std::string_view message, const Blobs* blobs = nullptr) {
  CAPTURE(rule);
  REQUIRE(broken_rules(program, blobs) == std::vector<std::string>{std::string(rule)});
  const Diagnostic found = check_for_ane(program, blobs).front();
  CHECK(found.severity == severity);
  CHECK(found.where == where);
  CHECK_THAT(found.message, ANE_CONTAINS(std::string(message)));
  CHECK_FALSE(found.remedy.empty());
}

}  // namespace ane::mil
