#include "ane/mil/builder.h"

#include <array>

#include "ane/mil/op_view.h"
#include "ane/mil/text.h"
#include "ane/mil/verify.h"

#include "support/catch.h"

namespace ane::mil {
namespace {

/// A kernel that uses every method of the builder once.
Program everything(DType element, Dialect dialect) {
  Builder b(element, dialect);
  const Var pack = b.input("pack", {1, 96, 1, 32});
  const Var x = b.slice("x", pack, {0, 32, 0, 0}, {1, 64, 1, 32});
  const Var w = b.blob("w", {16, 64, 1, 1}, "@model_path/weights/w.bin");
  const Var h = b.conv1x1("h", x, w);
  const Var act = b.mul("act", h, b.sigmoid("gate", h));
  const Var heads = b.reshape("heads", b.relu("r", act), {1, 2, 8, 32});
  const Var turned = b.transpose("turned", heads, {0, 1, 3, 2});
  const Var scores = b.matmul("scores", turned, turned, false, true);
  const Var scaled = b.mul("scaled", scores, b.scalar(0.125F));
  const Var probs = b.softmax("probs", b.sub("centred", scaled, b.reduce(OpKind::reduce_sum, "sums", scaled, {-1})));
  const Var mixed = b.transpose("mixed", b.matmul("weighted", probs, turned), {0, 1, 3, 2});
  const Var flat = b.reshape("flat", mixed, {1, 16, 1, 32});
  const Var halved = b.mul("halved", flat, b.scalar(0.5F));
  const std::array parts{halved, h};
  const Var out = b.concat("out", parts, 1);
  return std::move(b).finish({&out, 1});
}

}  // namespace

TEST_CASE("built programs verify, print and read back", "[mil]") {
  const auto [element, dialect] = GENERATE(table<DType, Dialect>(
      {{DType::fp16, Dialect::ios18}, {DType::fp32, Dialect::ios18}, {DType::fp16, Dialect::ios16}}));
  const Program program = everything(element, dialect);
  CHECK(program.version == (dialect == Dialect::ios16 ? Version::v1_0 : Version::v1_3));
  CHECK(program.main().opset == (dialect == Dialect::ios16 ? OpSet::ios16 : OpSet::ios18));
  CHECK(program.build_info == default_build_info(dialect));
  const Function& main = program.main();
  REQUIRE(main.outputs.size() == 1);
  CHECK(main.value(main.outputs[0]) == Value{"out", {element, {1, 32, 1, 32}}});
  CHECK(parse(print(program)) == program);
}

TEST_CASE("the builder names compile-time arguments and shares equal ones", "[mil]") {
  const Program program = everything(DType::fp16, Dialect::ios18);
  std::size_t inline_constants = 0;
  std::size_t perms = 0;
  for (const Operation& operation : program.main().operations) {
    for (const Argument& argument : operation.arguments)
      for (const Operand& operand : argument.operands)
        if (std::holds_alternative<Constant>(operand)) ++inline_constants;
    if (operation.name.starts_with("ints_0_1_3_2")) ++perms;
  }
  CHECK(inline_constants == 0);
  CHECK(perms == 1);
  const std::string text = print(program);
  CHECK_THAT(text, ANE_CONTAINS("tensor<int32, [4]> ints_0_1_3_2 = const()[name = string(\"ints_0_1_3_2\"), val = "
                                "tensor<int32, [4]>([0, 1, 3, 2])];"));
  CHECK_THAT(text, ANE_CONTAINS("fp16 c_0p125 = const()[name = string(\"c_0p125\"), val = fp16(0.125)];"));
  CHECK_THAT(text, ANE_CONTAINS("conv(dilations = ints_1_1, groups = int_1, pad = ints_0_0_0_0, pad_type = valid, "
                                "strides = ints_1_1, weight = w, x = x)"));
}

TEST_CASE("colliding names get a suffix, and 0 and -0 stay distinct", "[mil]") {
  Builder b(DType::fp16);
  const Var x = b.input("x", {2});
  const Var first = b.add("y", x, b.scalar(0.0F));
  const Var second = b.add("y", first, b.scalar(-0.0F));
  const Var third = b.add("y_2", second, b.scalar(0.0F));
  const Program program = std::move(b).finish({&third, 1});
  const Function& main = program.main();
  CHECK(main.value(first.id).name == "y");
  CHECK(main.value(second.id).name == "y_2");
  CHECK(main.value(third.id).name == "y_2_2");
  CHECK(main.operations.size() == 5);
}

TEST_CASE("scalars and constants are rounded to the element type", "[mil]") {
  Builder b(DType::fp16);
  const Var x = b.input("x", {2});
  const Var scaled = b.mul("scaled", x, b.scalar(0.1F));
  const Var y = b.mul("y", scaled, b.constant("pair", {{DType::fp16, {2}}, std::vector<float>{1e-5F, 1.0F / 768.0F}}));
  const Program program = std::move(b).finish({&y, 1});
  CHECK_THAT(print(program), ANE_CONTAINS("val = fp16(0x1.998p-4)"));
  CHECK_THAT(print(program), ANE_CONTAINS("val = tensor<fp16, [2]>([0x1.5p-17, 0x1.554p-10])"));
}

TEST_CASE("any operation can be built by its arguments' names", "[mil]") {
  Builder b(DType::fp16);
  const Var x = b.input("x", {6, 2});
  const auto parts = b.operation(OpKind::split, "part",
                                 {{"x", {x.id}, false},
                                  {"axis", {b.integer("first", 0).id}, false},
                                  {"split_sizes", {b.integers("sizes", {2, 4}).id}, false}});
  REQUIRE(parts.size() == 2);
  CHECK(b.type(parts[1]) == TensorType{DType::fp16, {4, 2}});
  const auto padded = b.operation(OpKind::pad, "y",
                                  {{"x", {parts[0].id}, false},
                                   {"pad", {b.integers("margins", {1, 1}).id}, false},
                                   {"mode", {b.text("mode", "reflect").id}, false}});
  const Program program = std::move(b).finish(padded);
  CHECK_THAT(print(program), ANE_CONTAINS("tensor<fp16, [2, 2]> part_0, tensor<fp16, [4, 2]> part_1 = split(x = x, "
                                          "axis = first, split_sizes = sizes)[name = string(\"part\")];"));
}

TEST_CASE("ill-typed operations are refused while they are built", "[mil]") {
  Builder b(DType::fp16);
  const Var x = b.input("x", {1, 4, 32, 16});
  const Var z = b.input("z", {1, 4, 8, 32});
  CHECK_THROWS_WITH(b.input("x", {1}), ANE_CONTAINS("input 'x' is defined twice"));
  CHECK_THROWS_AS(b.matmul("y", x, z), TypeError);
  CHECK_THROWS_WITH(b.matmul("y", x, z),
                    "op 'y' (matmul): inner dimensions disagree: x is fp16 [1, 4, 32, 16] and y is fp16 [1, 4, 8, 32]");
  CHECK_THROWS_WITH(b.operation(OpKind::exp, "y", {{"x", {ValueId{99}}, false}}),
                    ANE_CONTAINS("argument 'x' names a value that does not exist"));
}

TEST_CASE("a program's outputs are results of operations", "[mil]") {
  Builder b(DType::fp16);
  const Var x = b.input("x", {2});
  CHECK_THROWS_WITH(Builder(b).finish({&x, 1}), ANE_CONTAINS("output 'x' is not an operation's result"));
  const Var c = b.scalar(1.0F);
  CHECK_THROWS_WITH(Builder(b).finish({&c, 1}), ANE_CONTAINS("output 'c_1' is not an operation's result"));
  CHECK_THROWS_WITH(Builder(b).finish({}), ANE_CONTAINS("function 'main' returns nothing"));
}

}  // namespace ane::mil
