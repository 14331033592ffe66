#include <array>

#include "ane_rules_support.h"

namespace ane::mil {
namespace {

/// A program with one operation that keeps the type and shape of its input, of type `type`.
Program carries(const TensorType& type) {
  return with_input(type, [&](Builder& b, Var x) {
    return is_float(type.dtype) ? b.relu("y", x) : b.unary(OpKind::identity, "y", x);
  });
}

/// Inputs and outputs with these names, in this order.
Program with_names(std::string_view in_1, std::string_view in_2, std::string_view out_1, std::string_view out_2) {
  Builder b(DType::fp16);
  const Var x = b.input(in_1, {1, 16, 1, 32});
  const Var y = b.input(in_2, {1, 16, 1, 32});
  const Var sum = b.add(out_1, x, y);
  const Var product = b.mul(out_2, x, y);
  return std::move(b).finish(std::array{sum, product});
}

Program attention_of(std::string_view q, std::string_view k, std::string_view v) {
  Builder b(DType::fp16);
  const Shape shape{1, 2, 64, 32};
  const Var query = b.input(q, shape);
  const Var key = b.input(k, shape);
  const Var value = b.input(v, shape);
  return std::move(b).finish(std::array{apply(b, OpKind::scaled_dot_product_attention,
                                              {named("query", query), named("key", key), named("value", value)})});
}

/// The findings of a rule for input and output of a program with `type`.
void breaks_at_both_ends(const TensorType& type, std::string_view rule, Severity severity, const std::string& message) {
  const std::vector<Diagnostic> found = check_for_ane(carries(type));
  CAPTURE(rule, to_string(type));
  REQUIRE(found.size() == 2);
  for (const Diagnostic& diagnostic : found) {
    CHECK(diagnostic.rule == rule);
    CHECK(diagnostic.severity == severity);
    CHECK_THAT(diagnostic.message, ANE_CONTAINS(message));
  }
  CHECK(found[0].where == "input 'x'");
  CHECK(found[1].where == "output 'y'");
}

}  // namespace

TEST_CASE("A1: rows of inputs and outputs are whole", "[mil][rules]") {
  const std::int64_t width = GENERATE(33, 48, 131, 897);
  breaks_at_both_ends({DType::fp16, {1, 8, 1, width}}, "A1", Severity::wrong_result,
                      "have " + std::to_string(width * 2) + " bytes and lie ");
  passes(carries({DType::fp16, {1, 8, 1, GENERATE(32, 64, 896)}}));
}

TEST_CASE("A3: inputs and outputs are 32 wide", "[mil][rules]") {
  breaks_at_both_ends({DType::fp16, {1, 8, 1, 16}}, "A3", Severity::wrong_result,
                      "last dimension of fp16 [1, 8, 1, 16] is 16");
  breaks_at_both_ends({DType::fp16, {1, 8, 64, 1}}, "A3", Severity::wrong_result, "is 1");
  passes(carries({DType::fp16, {1, 8, 1, 32}}));
}

TEST_CASE("A4: inputs and outputs are not fp32", "[mil][rules]") {
  breaks_at_both_ends({DType::fp32, {1, 8, 1, 32}}, "A4", Severity::refusal, "it is fp32 [1, 8, 1, 32]");
  passes(with_input({1, 8, 1, 32}, [](Builder& b, Var x) {  // allowed inside
    const Var wide = b.operation(OpKind::cast, "wide", {named("dtype", b.text("fp32", "fp32")), named("x", x)}).front();
    return apply(b, OpKind::cast, {named("dtype", b.text("fp16", "fp16")), named("x", wide)});
  }));
}

TEST_CASE("A5: inputs and outputs are not integers", "[mil][rules]") {
  const DType dtype = GENERATE(DType::int32, DType::int8, DType::uint8);
  breaks_at_both_ends({dtype, {1, 8, 1, 64}}, "A5", Severity::refusal, "it is ");
  passes(carries({DType::boolean, {1, 8, 1, 64}}));
}

TEST_CASE("A6: inputs and outputs have rank 4 and batch 1", "[mil][rules]") {
  breaks_at_both_ends({DType::fp16, {8, 1, 32}}, "A6", Severity::refusal, "fp16 [8, 1, 32] has rank 3");
  breaks_at_both_ends({DType::fp16, {2, 8, 1, 32}}, "A6", Severity::refusal, "fp16 [2, 8, 1, 32] has batch 2");
  breaks_at_both_ends({DType::fp16, {}}, "A6", Severity::refusal, "has rank 0");
  passes(carries({DType::fp16, {1, 8, 4, 32}}));
}

TEST_CASE("A10: inputs and outputs are written in the order of their names", "[mil][rules]") {
  breaks(with_names("x", "W", "r", "s"), "A10", Severity::wrong_result, "function 'main'",
         "its inputs are written as (x, W), but bind as (W, x)");
  breaks(with_names("a", "b", "s", "r"), "A10", Severity::wrong_result, "function 'main'",
         "its outputs are written as (s, r), but bind as (r, s)");
  passes(with_names("W", "x", "r", "s"));
}

TEST_CASE("A14: query, key and value as inputs are written in the order of their names", "[mil][rules]") {
  breaks(attention_of("q", "k", "v"), "A14", Severity::wrong_result, "op 'y' (scaled_dot_product_attention)",
         "inputs (q, k, v) bind as (k, q, v)");
  breaks(attention_of("query", "key", "value"), "A14", Severity::wrong_result, "op 'y' (scaled_dot_product_attention)",
         "bind as (key, query, value)");
  passes(attention_of("a_query", "b_key", "c_value"));
}

}  // namespace ane::mil
