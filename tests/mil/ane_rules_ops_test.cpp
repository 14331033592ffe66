#include <array>

#include <fmt/format.h>

#include "ane_rules_support.h"

namespace ane::mil {
namespace {

Var blob(Builder& b, std::string_view name, Shape shape) { return b.blob(name, std::move(shape), "@model_path/w.bin"); }

std::vector<Argument> conv_arguments(Builder& b, Var x, Var weight, std::int64_t groups = 1) {
  const Var ones = b.integers("ones", {1, 1});
  return {named("dilations", ones),
          named("groups", b.integer("groups", groups)),
          named("pad", b.integers("none", {0, 0, 0, 0})),
          named("pad_type", b.text("valid", "valid")),
          named("strides", ones),
          named("weight", weight),
          named("x", x)};
}

Program unary(OpKind kind) {
  return with_input({1, 64, 1, 64}, [=](Builder& b, Var x) { return b.unary(kind, "y", x); });
}

}  // namespace

TEST_CASE("A20: attention has no mask argument", "[mil][rules]") {
  const auto attention = [](bool masked) {
    return with_input({1, 2, 64, 32}, [=](Builder& b, Var x) {
      std::vector<Argument> arguments{named("query", x), named("key", x), named("value", x)};
      if (masked) arguments.push_back(named("attn_mask", blob(b, "mask", {1, 1, 64, 64})));
      return apply(b, OpKind::scaled_dot_product_attention, arguments);
    });
  };
  breaks(attention(true), "A20", Severity::wrong_result, "op 'y' (scaled_dot_product_attention)",
         "it has an attn_mask, fp16 [1, 1, 64, 64]");
  passes(attention(false));
}

TEST_CASE("A22: rsqrt, inverse and log have their epsilon", "[mil][rules]") {
  const OpKind kind = GENERATE(OpKind::rsqrt, OpKind::inverse, OpKind::log);
  breaks(unary(kind), "A22", kRefusal, fmt::format("op 'y' ({})", name(kind)),
         fmt::format("{} of fp16 [1, 64, 1, 64] without epsilon", name(kind)));
  passes(with_input({1, 64, 1, 64}, [=](Builder& b, Var x) {
    return apply(b, kind, {named("x", x), named("epsilon", b.scalar(0x1p-10F))});
  }));
}

TEST_CASE("A22: a sqrt of a reduction's result was refused once", "[mil][rules]") {
  passes(unary(OpKind::sqrt));

  const auto norm = [](bool by_sqrt) {
    return with_input({1, 64, 1, 64}, [=](Builder& b, Var x) {
      const Var sum = b.reduce(OpKind::reduce_sum, "sum", b.mul("square", x, x), {1});
      const Var mean = b.add("mean", b.mul("scaled", b.scalar(0x1p-6F), sum), b.scalar(0x1p-13F));
      const Var root = by_sqrt ? b.unary(OpKind::sqrt, "y", mean) : b.binary(OpKind::pow, "y", mean, b.scalar(0.5F));
      return root;
    });
  };
  breaks(norm(true), "A22", Severity::note, "op 'y' (sqrt)", "sqrt of a reduction's result, fp16 [1, 1, 1, 64]");
  passes(norm(false));
  passes(with_input({1, 64, 1, 64}, [](Builder& b, Var x) {  // two computed operands: no longer a reduction's result
    return b.unary(OpKind::sqrt, "y", b.mul("both", x, b.reduce(OpKind::reduce_sum, "sum", x, {1})));
  }));
}

TEST_CASE("A23: no gelu", "[mil][rules]") {
  breaks(unary(OpKind::gelu), "A23", kRefusal, "op 'y' (gelu)", "gelu of fp16 [1, 64, 1, 64]");
  passes(unary(OpKind::tanh));
}

TEST_CASE("A24: conv has no bias", "[mil][rules]") {
  const auto conv = [](bool biased) {
    return with_input({1, 64, 1, 64}, [=](Builder& b, Var x) {
      std::vector<Argument> arguments = conv_arguments(b, x, blob(b, "w", {32, 64, 1, 1}));
      if (biased) arguments.push_back(named("bias", blob(b, "bias", {32})));
      return apply(b, OpKind::conv, arguments);
    });
  };
  breaks(conv(true), "A24", kRefusal, "op 'y' (conv)", "it has a bias, fp16 [32]");
  passes(conv(false));
}

TEST_CASE("A25: no wide layer_norm with gamma or beta", "[mil][rules]") {
  const auto layer_norm = [](std::int64_t width, std::string_view affine) {
    return with_input({1, 16, 32, width}, [=](Builder& b, Var x) {
      std::vector<Argument> arguments{named("axes", b.integers("axes", {-1})), named("epsilon", b.scalar(0x1p-10F)),
                                      named("x", x)};
      if (!affine.empty()) arguments.push_back(named(affine, blob(b, "affine", {width})));
      return apply(b, OpKind::layer_norm, arguments);
    });
  };
  breaks(layer_norm(1024, "gamma"), "A25", kRefusal, "op 'y' (layer_norm)", "it scales or shifts 1024 elements");
  breaks(layer_norm(2048, "beta"), "A25", kRefusal, "op 'y' (layer_norm)", "2048 elements of [1, 16, 32, 2048]");
  passes(layer_norm(1024, ""));
  passes(layer_norm(992, "gamma"));
}

TEST_CASE("A26: no mean or maximum over channels", "[mil][rules]") {
  const auto reduce = [](OpKind kind, std::int64_t axis) {
    return with_input({1, 64, 32, 64}, [=](Builder& b, Var x) {
      const Var reduced = b.reduce(kind, "reduced", x, {axis});
      return b.mul("y", x, reduced);
    });
  };
  breaks(reduce(OpKind::reduce_mean, 1), "A26", Severity::note, "op 'reduced' (reduce_mean)",
         "reduce_mean over the 64 channels of fp16 [1, 64, 32, 64]");
  breaks(reduce(OpKind::reduce_max, -3), "A26", Severity::note, "op 'reduced' (reduce_max)", "reduce_max over");
  passes(reduce(OpKind::reduce_sum, 1));
  passes(reduce(OpKind::reduce_max, -1));
}

TEST_CASE("A27: conv has a constant weight", "[mil][rules]") {
  const auto conv = [](std::int64_t groups) {
    return with_input({1, 64, 1, 64}, [=](Builder& b, Var x) {
      const Shape whole{1, 64, 1, 64};
      const Var part = groups == 1 ? x : b.slice("part", x, {0, 0, 0, 0}, {1, 16, 1, 64});
      const Var weight = b.reshape("weight", part, {64, groups == 1 ? 64 : 16, 1, 1});
      return apply(b, OpKind::conv, conv_arguments(b, x, weight, groups));
    });
  };
  breaks(conv(1), "A27", Severity::wrong_result, "op 'y' (conv)",
         "its weight, fp16 [64, 64, 1, 1], is computed at run time; 1 groups");
  breaks(conv(4), "A27", kRefusal, "op 'y' (conv)", "4 groups");
  passes(with_input({1, 64, 1, 64}, [](Builder& b, Var x) {
    return apply(b, OpKind::conv, conv_arguments(b, x, blob(b, "w", {64, 16, 1, 1}), 4));
  }));
}

TEST_CASE("A28: no pairs along the last axis", "[mil][rules]") {
  breaks(with_input({1, 2, 64, 32},
                    [](Builder& b, Var x) {
                      const Var pairs = b.reshape("pairs", x, {1, 2, 1024, 2});
                      return b.reshape("y", pairs, {1, 2, 64, 32});
                    }),
         "A28", kRefusal, "op 'pairs' (reshape)", "splits the last axis of [1, 2, 64, 32] into pairs: [1, 2, 1024, 2]");
  breaks(with_input({1, 2, 64, 64},
                    [](Builder& b, Var x) {
                      return apply(b, OpKind::slice_by_index,
                                   {named("begin", b.integers("begin", {0, 0, 0, 0})),
                                    named("end", b.integers("end", {1, 2, 64, 64})),
                                    named("stride", b.integers("stride", {1, 1, 1, 2})), named("x", x)});
                    }),
         "A28", kRefusal, "op 'y' (slice_by_index)",
         "takes every second element along the last axis of [1, 2, 64, 64]");
  breaks(with_input({1, 2, 64, 64},
                    [](Builder& b, Var x) {
                      const Var left = b.slice("left", x, {0, 0, 0, 0}, {1, 2, 64, 32});
                      return b.concat("y", std::array{left, left}, -1);
                    }),
         "A28", kRefusal, "op 'y' (concat)", "joins 2 tensors along the last axis to [1, 2, 64, 64]");
  breaks(with_input({1, 2, 64, 64},
                    [](Builder& b, Var x) {
                      const Var pairs = b.matmul("pairs", x, blob(b, "p", {1, 1, 64, 2}));
                      return b.mul("y", x, b.slice("even", pairs, {0, 0, 0, 0}, {1, 2, 64, 1}));
                    }),
         "A28", kRefusal, "op 'even' (slice_by_size)",
         "takes every second element along the last axis of [1, 2, 64, 2]");
  passes(with_input({1, 2, 64, 64}, [](Builder& b, Var x) {
    const Var turned = b.matmul("turned", x, blob(b, "swap", {1, 1, 64, 64}));
    const Var left = b.slice("left", x, {0, 0, 0, 0}, {1, 2, 64, 32});
    return b.concat("y", std::array{b.slice("other", turned, {0, 0, 0, 0}, {1, 2, 64, 32}), left}, 1);
  }));
}

TEST_CASE("A29: constant operands of matmul have rank 4", "[mil][rules]") {
  const auto product = [](Shape shape, Shape constant) {
    return with_input({1, 2, 64, 32}, [=](Builder& b, Var x) {
      const Var flat = b.reshape("flat", x, shape);
      return b.reshape("y", b.matmul("product", flat, blob(b, "p", constant)), {1, 2, 64, 32});
    });
  };
  breaks(product({2, 64, 32}, {1, 32, 32}), "A29", kRefusal, "op 'product' (matmul)",
         "its y is constant, fp16 [1, 32, 32], and its result has rank 3");
  passes(product({2, 1, 64, 32}, {1, 1, 32, 32}));
}

TEST_CASE("A30: no constant tensors in elementwise operations of programs with several functions", "[mil][rules]") {
  const auto add = [](Shape shape) {
    return with_input({1, 64, 1, 64}, [=](Builder& b, Var x) { return b.add("y", x, blob(b, "c", shape)); });
  };
  Program program = add({1, 64, 1, 1});
  passes(program);
  program.functions.push_back(add({64, 1, 1}).functions.front());
  program.functions.back().name = "other";
  breaks(program, "A30", kRefusal, "op 'y' (add)", "it takes a constant [1, 64, 1, 1] in a program of 2 functions");
}

TEST_CASE("A31: no gather, tile or stack", "[mil][rules]") {
  breaks(with_input({1, 64, 1, 64},
                    [](Builder& b, Var x) {
                      return apply(b, OpKind::gather,
                                   {named("x", x), named("indices", b.integers("rows", {0, 2})),
                                    named("axis", b.integer("axis", 1))});
                    }),
         "A31", kRefusal, "op 'y' (gather)", "gather to fp16 [1, 2, 1, 64]");
  breaks(with_input({1, 64, 1, 64},
                    [](Builder& b, Var x) {
                      return apply(b, OpKind::tile, {named("reps", b.integers("reps", {1, 2, 1, 1})), named("x", x)});
                    }),
         "A31", kRefusal, "op 'y' (tile)", "tile to fp16 [1, 128, 1, 64]; where it compiles (M3 Max)");
  breaks(
      with_input(
          {1, 64, 1, 64},
          [](Builder& b, Var x) {
            const Argument values{"values", {Operand(x.id), Operand(x.id)}, true};
            const Var both = b.operation(OpKind::stack, "both", {named("axis", b.integer("axis", 0)), values}).front();
            return b.reshape("y", both, {1, 128, 1, 64});
          }),
      "A31", kRefusal, "op 'both' (stack)", "stack to fp16 [2, 1, 64, 1, 64]");
  passes(with_input({1, 64, 1, 64}, [](Builder& b, Var x) { return b.concat("y", std::array{x, x}, 1); }));
}

TEST_CASE("A36: an input of width 1 is not stretched", "[mil][rules]") {
  const auto product = [](Shape factor) {
    Builder b(DType::fp16);
    const Var f = b.input("f", std::move(factor));
    const Var x = b.input("x", {1, 64, 1, 64});
    const Var y = b.mul("y", x, f);
    return std::move(b).finish(std::array{y});
  };
  // Such an input is too narrow in any case (A3).
  const Program program = product({1, 64, 1, 1});
  CHECK(broken_rules(program) == std::vector<std::string>{"A3", "A36"});
  CHECK(check_for_ane(program).back().where == "op 'y' (mul)");
  CHECK(check_for_ane(program).back().message == "it stretches input 'f', [1, 64, 1, 1], to [1, 64, 1, 64]");
  passes(product({1, 64, 1, 64}));
  passes(with_input({1, 64, 1, 64}, [](Builder& b, Var x) { return b.mul("y", x, blob(b, "f", {1, 64, 1, 1})); }));
}

TEST_CASE("A55: a reduction's result is not multiplied by 0", "[mil][rules]") {
  const auto product = [](float factor, OpKind before) {
    return with_input({1, 64, 1, 64}, [=](Builder& b, Var x) {
      const Var made = before == OpKind::reduce_sum ? b.reduce(before, "sum", x, {1}) : b.unary(before, "sum", x);
      return b.mul("y", made, b.scalar(factor));
    });
  };
  breaks(product(0, OpKind::reduce_sum), "A55", kRefusal, "op 'y' (mul)",
         "it multiplies a reduction's result, fp16 [1, 1, 1, 64], by 0");
  passes(product(0.5F, OpKind::reduce_sum));
  passes(product(0, OpKind::relu));
}

TEST_CASE("long programs are checked in linear time", "[mil][rules]") {
  constexpr int kLength = 60000;
  const auto chain = [](OpKind first) {
    Builder b(DType::fp16);
    const Var x = b.input("x", {1, 64, 1, 64});
    const Var zero = b.scalar(0);
    Var last = first == OpKind::reduce_sum ? b.reduce(first, "first", x, {1}) : b.unary(first, "first", x);
    for (int i = 0; i < kLength; ++i) last = b.mul("y", last, zero);
    return std::move(b).finish(std::array{last});
  };
  const auto is_zeroed = [](const Diagnostic& diagnostic) { return diagnostic.rule == "A55"; };
  CHECK(std::ranges::count_if(check_for_ane(chain(OpKind::reduce_sum)), is_zeroed) == kLength);
  CHECK(std::ranges::count_if(check_for_ane(chain(OpKind::relu)), is_zeroed) == 0);
}

TEST_CASE("A56: no sin and cos on M1 and M2", "[mil][rules]") {
  const OpKind kind = GENERATE(OpKind::sin, OpKind::cos);
  breaks(unary(kind), "A56", kRefusal, fmt::format("op 'y' ({})", name(kind)), "of fp16 [1, 64, 1, 64]");
  CHECK(check_for_ane(unary(kind), nullptr, "Apple M2 Pro").front().severity == kRefusal);
  CHECK(check_for_ane(unary(kind), nullptr, "Apple M3").front().severity == Severity::note);
}

}  // namespace ane::mil
