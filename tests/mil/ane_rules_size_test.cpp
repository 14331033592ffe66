#include <array>

#include "ane_rules_support.h"

namespace ane::mil {
namespace {

Program conv(std::int64_t in, std::int64_t out) {
  return with_input({1, in, 1, 32}, [=](Builder& b, Var x) {
    return b.conv1x1("y", x, b.blob("w", {out, in, 1, 1}, "@model_path/w.bin"));
  });
}

/// A matmul of [1, 1, 32, inner] by [1, 1, inner, outer], both sliced from one input.
Program matmul(std::int64_t inner, std::int64_t outer) {
  return with_input({1, 1, 32 + outer, inner}, [=](Builder& b, Var x) {
    const Var left = b.slice("left", x, {0, 0, 0, 0}, {1, 1, 32, inner});
    const Var right = b.slice("right", x, {0, 0, 32, 0}, {1, 1, outer, inner});
    return b.matmul("y", left, right, false, true);
  });
}

}  // namespace

TEST_CASE("A32: conv has at most 17,408 input and 62,080 output channels", "[mil][rules]") {
  breaks(conv(32000, 32), "A32", Severity::refusal, "op 'y' (conv)", "it has 32000 input channels");
  breaks(conv(32, 64000), "A32", Severity::refusal, "op 'y' (conv)", "it has 64000 output channels");
  passes(conv(32, 32000));
}

TEST_CASE("A33: flat elementwise operations have at most 16,384 elements", "[mil][rules]") {
  const auto flat = [](std::int64_t channels, Shape shape) {
    return with_input({1, channels, 1, 64}, [=](Builder& b, Var x) {
      return b.reshape("y", b.relu("flat", b.reshape("in", x, shape)), {1, channels, 1, 64});
    });
  };
  breaks(flat(320, {2, 10240}), "A33", Severity::refusal, "op 'flat' (relu)",
         "its result, [2, 10240], has 20480 elements");
  passes(flat(256, {1, 16384}));
  passes(flat(320, {1, 2, 10240}));
}

TEST_CASE("A34: softmax runs over a multiple of 32 or a power of two", "[mil][rules]") {
  const auto softmax = [](std::int64_t channels) {
    return with_input({1, channels, 1, 32}, [](Builder& b, Var x) { return b.softmax("y", x, 1); });
  };
  breaks(softmax(257), "A34", Severity::refusal, "op 'y' (softmax)", "257 elements, neither a multiple of 32");
  const std::int64_t channels = GENERATE(1, 16, 96, 256, 32000);
  passes(softmax(channels));
}

TEST_CASE("A46: layers are narrower than 5,120", "[mil][rules]") {
  // Weights of such a layer do not fit on chip either (A47).
  const Program wide = conv(5120, 5120);
  CHECK(broken_rules(wide) == std::vector<std::string>{"A46", "A47"});
  CHECK(check_for_ane(wide).front().severity == Severity::slow);
  CHECK(check_for_ane(wide).front().message == "it maps 5120 channels to 5120");
  CHECK(broken_rules(conv(5120, 5104)) == std::vector<std::string>{"A47"});
  CHECK(broken_rules(matmul(5120, 5120)) == std::vector<std::string>{"A46", "A47"});
}

TEST_CASE("A47: operations fit on chip", "[mil][rules]") {
  const auto relu = [](std::int64_t channels) {
    return with_input({1, channels, 32, 32},
                      [](Builder& b, Var x) { return b.add("y", b.relu("small", x), b.sigmoid("other", x)); });
  };
  breaks(relu(6144), "A47", Severity::slow, "op 'y' (add)", "its operands and results have 36 MiB");  // 3 * 12 MiB
  breaks(relu(10240), "A47", Severity::slow, "op 'y' (add)", "have 60 MiB");  // the others, with 40, are not reported
  passes(relu(5120));                                                         // 3 * 10 MiB
}

TEST_CASE("A48: channels are multiples of 16", "[mil][rules]") {
  breaks(conv(64, 24), "A48", Severity::slow, "op 'y' (conv)", "it maps 64 channels to 24");
  breaks(conv(8, 64), "A48", Severity::slow, "op 'y' (conv)", "it maps 8 channels to 64");
  passes(conv(48, 288));
}

TEST_CASE("A50: sums of products are short", "[mil][rules]") {
  breaks(conv(5376, 32), "A50", Severity::slow, "op 'y' (conv)", "each result sums 5376 products");
  breaks(matmul(6144, 32), "A50", Severity::slow, "op 'y' (matmul)", "each result sums 6144 products");
  passes(conv(5120, 32));
  passes(matmul(5120, 32));
}

TEST_CASE("A54: reductions have long axes", "[mil][rules]") {
  const auto reduce = [](Shape shape, std::int64_t axis) {
    return with_input(std::move(shape),
                      [=](Builder& b, Var x) { return b.mul("y", x, b.reduce(OpKind::reduce_sum, "sum", x, {axis})); });
  };
  breaks(reduce({1, 16, 64, 64}, 1), "A54", Severity::slow, "op 'sum' (reduce_sum)",
         "4096 results of 16 elements each");
  passes(reduce({1, 32, 64, 64}, 1));
  passes(reduce({1, 16, 32, 64}, 1));
  passes(reduce({1, 12, 256, 256}, -1));  // the backward of softmax
}

TEST_CASE("B3: the last two axes have a limited length", "[mil][rules]") {
  const auto long_row = [](std::int64_t width) {
    return with_input({1, 2, 1, width}, [](Builder& b, Var x) { return b.relu("y", x); });
  };
  breaks(long_row(65568), "B3", Severity::refusal, "input 'x'", "[1, 2, 1, 65568] has an axis of 65568");
  breaks(long_row(16416), "B3", Severity::refusal, "input 'x'", "[1, 2, 1, 16416] has an axis of 16416");
  CHECK(check_for_ane(long_row(65568), nullptr, "Apple M4").front().severity == Severity::refusal);
  CHECK(check_for_ane(long_row(16416), nullptr, "Apple M3 Ultra").front().severity == Severity::refusal);
  CHECK(check_for_ane(long_row(16416), nullptr, "Apple M4").front().severity == Severity::note);
  passes(long_row(16384));
  passes(with_input({1, 65536, 1, 32}, [](Builder& b, Var x) { return b.relu("y", x); }));
  breaks(with_input({1, 64, 1, 1024},
                    [](Builder& b, Var x) {
                      return b.reshape("y", b.relu("long", b.reshape("in", x, {1, 1, 2, 32768})), {1, 64, 1, 1024});
                    }),
         "B3", Severity::refusal, "op 'in' (reshape)", "[1, 1, 2, 32768] has an axis of 32768");
  const Program second_part_long = with_input({1, 1, 1, 32}, [](Builder& b, Var x) {
    const auto parts =
        b.operation(OpKind::split, "part",
                    {named("x", b.blob("w", {1, 1, 1, 65632}, "@model_path/w.bin")),
                     named("axis", b.integer("last", 3)), named("split_sizes", b.integers("sizes", {32, 65600}))});
    return b.add("y", x, parts.front());
  });
  breaks(second_part_long, "B3", Severity::refusal, "op 'part' (split)", "[1, 1, 1, 65600] has an axis of 65600");
}

TEST_CASE("B3: a tensor of rank 4 has at most 65,536 channels", "[mil][rules]") {
  const auto relu = [](std::int64_t channels) {
    return with_input({1, channels, 1, 32}, [](Builder& b, Var x) { return b.relu("y", x); });
  };
  passes(relu(65536));
  breaks(relu(65600), "B3", Severity::refusal, "input 'x'", "[1, 65600, 1, 32] has 65600 channels");
  for (const char* const chip : {"Apple M1", "Apple M4"})
    CHECK(check_for_ane(relu(65600), nullptr, chip).front().severity == Severity::refusal);
  breaks(with_input({1, 64, 1, 2048},
                    [](Builder& b, Var x) {
                      return b.reshape("y", b.relu("flat", b.reshape("in", x, {1, 131072, 1, 1})), {1, 64, 1, 2048});
                    }),
         "B3", Severity::refusal, "op 'in' (reshape)", "[1, 131072, 1, 1] has 131072 channels");
}

TEST_CASE("B4: a convolution's kernel is not wide", "[mil][rules]") {
  const auto conv = [](std::int64_t width) {
    return with_input({1, 64, 1, 64}, [=](Builder& b, Var x) {
      const Var ones = b.integers("ones", {1, 1});
      const std::int64_t before = (width - 1) / 2;
      return apply(b, OpKind::conv,
                   {named("dilations", ones), named("groups", b.integer("groups", 1)),
                    named("pad", b.integers("around", {0, 0, before, width - 1 - before})),
                    named("pad_type", b.text("custom", "custom")), named("strides", ones),
                    named("weight", b.blob("w", {64, 64, 1, width}, "@model_path/w.bin")), named("x", x)});
    });
  };
  breaks(conv(16), "B4", Severity::refusal, "op 'y' (conv)", "its kernel is 16 wide");
  CHECK(check_for_ane(conv(16), nullptr, "Apple M4").front().severity == Severity::refusal);
  breaks(conv(14), "B4", Severity::refusal, "op 'y' (conv)", "its kernel is 14 wide");
  CHECK(check_for_ane(conv(14), nullptr, "Apple M1 Max").front().severity == Severity::refusal);
  CHECK(check_for_ane(conv(14), nullptr, "Apple M4").front().severity == Severity::note);
  passes(conv(13));
}

}  // namespace ane::mil
