#include <array>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "ane/mil/text.h"

#include "ane_rules_support.h"

namespace ane::mil {
namespace {

/// y = sigmoid(relu(x)).
Program two_steps() {
  return with_input({1, 16, 1, 32}, [](Builder& b, Var x) { return b.sigmoid("y", b.relu("r", x)); });
}

Program conv_at(std::uint64_t offset) {
  return with_input({1, 16, 1, 32}, [=](Builder& b, Var x) {
    return b.conv1x1("y", x, b.blob("w", {16, 16, 1, 1}, "@model_path/w.bin", offset));
  });
}

/// The sum of x and `count` blobs, each its own tensor.
Program sum_of_blobs(int count, bool scalar) {
  return with_input({1, 16, 1, 32}, [=](Builder& b, Var x) {
    Var sum = x;
    for (int i = 0; i < count; ++i) {
      const std::string blob = "w" + std::to_string(i);
      sum = b.add("sum", sum, b.blob(blob, {1, 16, 1, 1}, "@model_path/" + blob + ".bin"));
    }
    return scalar ? b.mul("y", sum, b.scalar(0.5F)) : b.relu("y", sum);
  });
}

}  // namespace

TEST_CASE("A21: arguments are named consts", "[mil][rules]") {
  const auto transpose = [](bool named_perm) {
    return with_input({1, 2, 64, 32}, [=](Builder& b, Var x) {
      const std::vector<std::int64_t> perm{0, 1, 3, 2};
      return apply(
          b, OpKind::transpose,
          {named_perm ? named("perm", b.integers("perm", perm)) : in_place("perm", {{DType::int32, {4}}, perm}),
           named("x", x)});
    });
  };
  breaks(transpose(false), "A21", Severity::note, "op 'y' (transpose)", "inline: 'perm'");
  passes(transpose(true));
  breaks(
      with_input(
          {1, 16, 1, 32},
          [](Builder& b, Var x) {
            return apply(b, OpKind::mul, {named("x", x), in_place("y", {{DType::fp16, {}}, std::vector<float>{2.0F}})});
          }),
      "A21", Severity::note, "op 'y' (mul)", "inline: 'y'");
}

TEST_CASE("A37: names are defined once and outputs are results", "[mil][rules]") {
  const Program good = two_steps();
  passes(good);

  Program twice = good;
  twice.functions[0].values[1].name = "x";
  breaks(twice, "A37", kRefusal, "function 'main'", "'x' is defined twice");

  Program returns_input = good;
  returns_input.functions[0].outputs = {0};
  breaks(returns_input, "A37", kRefusal, "output 'x'", "it is an input, not an operation's result");

  Program undefined = good;
  undefined.functions[0].outputs = {7};
  breaks(undefined, "A37", kRefusal, "function 'main'", "it returns value 7, but has 3");

  Program dangling = good;
  dangling.functions[0].operations[1].arguments[0].operands[0] = ValueId{9};
  breaks(dangling, "A37", kRefusal, "op 'y' (sigmoid)", "it takes value 9 of function 'main', which has 3");
}

TEST_CASE("A37: an output is not a const", "[mil][rules]") {
  Builder b(DType::fp16);
  const Var x = b.input("x", {1, 16, 1, 32});
  const Var c = b.blob("c", {1, 16, 1, 32}, "@model_path/c.bin");
  const Var y = b.add("y", x, c);
  Program program = std::move(b).finish(std::array{y});
  passes(program);
  program.functions[0].outputs = {c.id};
  breaks(program, "A37", kRefusal, "output 'c'", "it is a const, not an operation's result");
}

TEST_CASE("A38: a function holds no operation of a later set", "[mil][rules]") {
  const auto attention = [](Dialect dialect) {
    return with_input(
        TensorType{DType::fp16, {1, 2, 64, 32}},
        [](Builder& b, Var x) {
          return apply(b, OpKind::scaled_dot_product_attention,
                       {named("query", x), named("key", x), named("value", x)});
        },
        DType::fp16, dialect);
  };
  breaks(attention(Dialect::ios16), "A38", kRefusal, "op 'y' (scaled_dot_product_attention)",
         "the operation was introduced in ios18, but function 'main' is for ios16");
  passes(attention(Dialect::ios18));

  const auto cast = [](const char* dtype) {
    return with_input(
        TensorType{DType::fp16, {1, 16, 1, 64}},
        [=](Builder& b, Var x) {
          const Var inner =
              b.operation(OpKind::cast, "inner", {named("dtype", b.text("t", dtype)), named("x", x)}).front();
          return apply(b, OpKind::cast, {named("dtype", b.text("back", "fp16")), named("x", inner)});
        },
        DType::fp16, Dialect::ios16);
  };
  breaks(cast("int8"), "A38", kRefusal, "op 'inner' (cast)", "cast to int8 was introduced in ios17");
  passes(cast("fp32"));
}

TEST_CASE("A38: gather's later arguments", "[mil][rules]") {
  const Program program = with_input(
      TensorType{DType::fp16, {1, 16, 1, 32}},
      [](Builder& b, Var x) {
        return apply(b, OpKind::gather,
                     {named("x", x), named("indices", b.integers("rows", {0})), named("axis", b.integer("axis", 1)),
                      named("validate_indices", b.boolean("no", false))});
      },
      DType::fp16, Dialect::ios16);
  CHECK(broken_rules(program) == std::vector<std::string>{"A31", "A38"});
  CHECK_THAT(check_for_ane(program).back().message,
             ANE_CONTAINS("argument 'validate_indices' was introduced in ios17"));
}

TEST_CASE("A38: every operation and argument introduced after ios15", "[mil][rules]") {
  const auto in_function = [](OpSet opset, const std::string& operations) {
    const Program program = parse(fmt::format(
        "program(1.3){{func main<{}>(tensor<fp16, [1, 16, 1, 32]> x) {{{}}} -> (y);}}", name(opset), operations));
    std::vector<std::string> messages;
    for (const Diagnostic& diagnostic : check_for_ane(program))
      if (diagnostic.rule == "A38") messages.push_back(diagnostic.message);
    return messages;
  };
  const auto [opset, what, operations] = GENERATE(table<OpSet, std::string, std::string>(
      {{OpSet::ios16, "the operation",
        "tensor<fp16, [2]> y = constexpr_affine_dequantize()[axis = int32(0), quantized_data = tensor<int8, [2]>([1, "
        "2]), scale = fp16(1), zero_point = int8(0)];"},
       {OpSet::ios16, "the operation",
        "tensor<fp16, [8]> y = constexpr_lut_to_dense()[indices = tensor<uint8, [1]>([5]), lut = tensor<fp16, [2]>([1, "
        "2]), shape = tensor<uint32, [1]>([8])];"},
       {OpSet::ios16, "the operation",
        "tensor<fp16, [8]> y = constexpr_sparse_to_dense()[nonzero_data = tensor<fp16, [1]>([5]), mask = tensor<uint8, "
        "[1]>([1]), shape = tensor<uint32, [1]>([8])];"},
       {OpSet::ios16, "argument 'batch_dims'",
        "tensor<fp16, [1, 1, 1, 32]> y = gather(x = x, indices = tensor<int32, [1]>([0]), axis = int32(1), batch_dims "
        "= "
        "int32(0));"},
       {OpSet::ios16, "argument 'sort'",
        "tensor<fp16, [1, 16, 1, 1]> y, tensor<int32, [1, 16, 1, 1]> i = topk(x = x, k = int32(1), sort = "
        "bool(true));"},
       {OpSet::ios16, "argument 'return_indices'",
        "tensor<fp16, [1, 16, 1, 1]> y = topk(x = x, k = int32(1), return_indices = bool(false));"},
       {OpSet::ios17, "the operation",
        "tensor<int8, [1, 16, 1, 32]> y = quantize(input = x, scale = fp16(1), output_dtype = string(\"int8\"));"},
       {OpSet::ios17, "the operation",
        "tensor<fp16, [2]> y = dequantize(input = tensor<int8, [2]>([1, 2]), scale = fp16(1));"},
       {OpSet::ios17, "argument 'validate_indices'",
        "tensor<fp16, [1, 1, 1, 32]> y = gather(x = x, indices = tensor<int32, [1]>([0]), axis = int32(1), "
        "validate_indices = bool(false));"},
       {OpSet::ios17, "argument 'validate_indices'",
        "tensor<fp16, [1, 16, 1, 1]> y = gather_along_axis(x = x, indices = tensor<int32, [1, 16, 1, 1]>([0, 0, 0, 0, "
        "0, "
        "0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), axis = int32(3), validate_indices = bool(false));"},
       {OpSet::ios17, "argument 'output_dtype'",
        "tensor<uint16, [1, 16, 1]> y = reduce_argmax(x = x, output_dtype = string(\"uint16\"));"},
       {OpSet::ios17, "argument 'output_dtype'",
        "tensor<int32, [1, 16, 1]> y = reduce_argmin(x = x, output_dtype = string(\"int32\"));"},
       {OpSet::ios17, "argument 'output_indices_dtype'",
        "tensor<fp16, [1, 16, 1, 1]> y, tensor<uint16, [1, 16, 1, 1]> i = topk(x = x, k = int32(1), "
        "output_indices_dtype = string(\"uint16\"));"},
       {OpSet::ios17, "cast to int8", "tensor<int8, [1, 16, 1, 32]> y = cast(x = x, dtype = string(\"int8\"));"},
       {OpSet::ios18, "the operation",
        "tensor<fp16, [1, 16, 1, 32]> y = scaled_dot_product_attention(query = x, key = x, value = x);"}}));
  CAPTURE(operations);
  const auto before = static_cast<OpSet>(static_cast<int>(opset) - 1);
  CHECK(in_function(before, operations) ==
        std::vector<std::string>{
            fmt::format("{} was introduced in {}, but function 'main' is for {}", what, name(opset), name(before))});
  CHECK(in_function(opset, operations).empty());
}

TEST_CASE("A38: arguments that ios15 already had", "[mil][rules]") {
  const Program program = parse(
      "program(1.3){func main<ios15>(tensor<fp16, [1, 16, 1, 32]> x) {"
      "tensor<int32, [1, 16, 1]> y = reduce_argmax(x = x, axis = int32(-1), keep_dims = bool(false));} -> (y);}");
  for (const Diagnostic& diagnostic : check_for_ane(program)) CHECK(diagnostic.rule != "A38");
}

TEST_CASE("A39: blob offsets name records", "[mil][rules]") {
  const Severity wrong = Severity::wrong_result;
  breaks(conv_at(0), "A39", wrong, "op 'w' (const)", "offset 0 of '@model_path/w.bin' cannot be a record's");
  breaks(conv_at(100), "A39", wrong, "op 'w' (const)", "offset 100 of");
  breaks(conv_at(128), "A39", wrong, "op 'w' (const)",
         "offset 128 of '@model_path/w.bin' is that of the first tensor's data");
  passes(conv_at(64));
  passes(conv_at(640));
}

TEST_CASE("A39: blob records fit their constants", "[mil][rules]") {
  const Severity wrong = Severity::wrong_result;
  Blobs blobs;
  single_blob(DType::fp16, 512, blobs["@model_path/w.bin"]);
  passes(conv_at(64), &blobs);
  breaks(conv_at(128), "A39", wrong, "op 'w' (const)", "name the record", &blobs);
  single_blob(DType::fp16, 510, blobs["@model_path/w.bin"]);
  breaks(conv_at(64), "A39", wrong, "op 'w' (const)", "expected 512 bytes for fp16 [16, 16, 1, 1], found 510", &blobs);
  single_blob(DType::fp32, 512, blobs["@model_path/w.bin"]);
  breaks(conv_at(64), "A39", wrong, "op 'w' (const)", "expected elements of type fp16, found fp32", &blobs);
  const Blobs none;
  breaks(conv_at(64), "A39", wrong, "op 'w' (const)", "is missing", &none);
}

TEST_CASE("A43: few constants are in blob files", "[mil][rules]") {
  passes(sum_of_blobs(16, false));
  breaks(sum_of_blobs(17, false), "A43", kRefusal, "the program", "17 constants lie in blob files, at most 16 may");
  passes(sum_of_blobs(15, true));
  breaks(sum_of_blobs(16, true), "A43", kRefusal, "the program",
         "16 constants lie in blob files, at most 15 may beside the scalar of op 'y' (mul)");
}

TEST_CASE("A44: weights stay below 3.75 GiB and records below 4 GiB", "[mil][rules]") {
  breaks(conv_at(std::uint64_t{1} << 32), "A44", kRefusal, "op 'w' (const)",
         "offset 4294967296 of '@model_path/w.bin' lies beyond 4 GiB");
  passes(conv_at((std::uint64_t{1} << 32) - 64));

  const auto convs = [](int count) {  // of 1 GiB - 64 KiB each; their slowness is irrelevant here
    const Program program = with_input({1, 32, 1, 32}, [=](Builder& b, Var x) {
      Var last = x;
      for (int i = 0; i < count; ++i) {
        const Var up = b.blob("up", {16384, 32, 1, 1}, "@model_path/up.bin");
        const Var across = b.blob("across", {32767, 16384, 1, 1}, "@model_path/across.bin");
        last = b.conv1x1("part", b.conv1x1("mid", x, up), across);
      }
      return last;
    });
    std::vector<std::string> ids;
    for (const Diagnostic& diagnostic : check_for_ane(program))
      if (diagnostic.severity == Severity::refusal) ids.push_back(diagnostic.rule + " " + diagnostic.message);
    return ids;
  };
  CHECK(convs(3).empty());
  CHECK(convs(4) == std::vector<std::string>{"A44 its constants in blob files have 4299030528 bytes"});
}

TEST_CASE("A57: program(1.0) has a buildInfo", "[mil][rules]") {
  const auto relu = [](Dialect dialect) {
    return with_input(
        TensorType{DType::fp16, {1, 64, 1, 32}}, [](Builder& b, Var x) { return b.relu("y", x); }, DType::fp16,
        dialect);
  };
  Program old = relu(Dialect::ios16);
  passes(old);
  old.build_info.clear();
  breaks(old, "A57", kRefusal, "the program", "it is a program(1.0) without buildInfo");
  Program recent = relu(Dialect::ios18);
  recent.build_info.clear();
  passes(recent);
}

}  // namespace ane::mil
