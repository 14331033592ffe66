#include "ane/mil/ane_rules.h"

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <vector>

#include "ane/mil/text.h"

#include "ane_rules_support.h"

namespace ane::mil {
namespace {

/// Attention scores of one head group with RoPE, a mask and a projection: every construct that training kernels use.
Program attention() {
  constexpr std::int64_t kSeq = 64;
  constexpr std::int64_t kHeads = 2;
  constexpr std::int64_t kHeadDim = 32;
  constexpr std::int64_t kDim = kHeads * kHeadDim;
  Builder b(DType::fp16);
  const Var x = b.input("x", {1, kDim, 1, kSeq});

  const Var norm = b.binary(
      OpKind::pow, "norm",
      b.add("mean_square",
            b.mul("scaled", b.reduce(OpKind::reduce_sum, "sum", b.mul("square", x, x), {1}), b.scalar(0x1p-6F)),
            b.scalar(0x1p-13F)),
      b.scalar(-0.5F));
  const Var xn = b.mul("xn", b.mul("normed", x, norm), b.blob("gain", {1, kDim, 1, 1}, "@model_path/gain.bin"));

  const Var cosines = b.blob("cosines", {1, 1, kSeq, kHeadDim}, "@model_path/cos.bin");
  const Var sines = b.blob("sines", {1, 1, kSeq, kHeadDim}, "@model_path/sin.bin");
  const Var swap = b.blob("swap", {1, 1, kHeadDim, kHeadDim}, "@model_path/swap.bin");
  const auto heads = [&](const std::string& name, Var packed) {
    const Var split = b.reshape(name + "_split", packed, {1, kHeads, kHeadDim, kSeq});
    return b.transpose(name + "_heads", split, {0, 1, 3, 2});
  };
  const auto projected = [&](const std::string& name) {
    return b.conv1x1(name, xn, b.blob("w" + name, {kDim, kDim, 1, 1}, "@model_path/w" + name + ".bin"));
  };
  const auto turned = [&](const std::string& name, Var head) {
    return b.add(name, b.mul(name + "_cos", head, cosines),
                 b.mul(name + "_sin", b.matmul(name + "_swap", head, swap), sines));
  };
  const Var q = turned("qr", heads("q", projected("pq")));
  const Var k = turned("kr", heads("k", projected("pk")));
  const Var v = heads("v", projected("pv"));
  const Var mask = b.blob("mask", {1, 1, kSeq, kSeq}, "@model_path/mask.bin");
  const Var scores =
      b.add("scores", b.mul("scaled_scores", b.matmul("qk", q, k, false, true), b.scalar(0x1.6ap-3F)), mask);
  const Var mixed = b.matmul("mixed", b.softmax("probs", scores), v);
  const Var joined = b.reshape("joined", b.transpose("back", mixed, {0, 1, 3, 2}), {1, kDim, 1, kSeq});
  const Var half = b.slice("half", joined, {0, 32, 0, 0}, {1, 32, 1, kSeq});
  const Var gate = b.mul("gate", half, b.sigmoid("open", half));
  const Var out = b.concat("out", std::array{joined, gate}, 1);
  return std::move(b).finish(std::array{out});
}

constexpr const char* kGate = R"(program(1.3)
[buildInfo = dict<string, string>({{"coremlc-version", "3505.4.1"}})]
{
    func main<ios18>(tensor<fp16, [1, 96, 1, 32]> pair) {
        tensor<int32, [4]> first = const()[name = string("first"), val = tensor<int32, [4]>([0, 0, 0, 0])];
        tensor<int32, [4]> second = const()[name = string("second"), val = tensor<int32, [4]>([0, 48, 0, 0])];
        tensor<int32, [4]> half = const()[name = string("half"), val = tensor<int32, [4]>([1, 48, 1, 32])];
        tensor<fp16, [1, 48, 1, 32]> a = slice_by_size(x = pair, begin = first, size = half)[name = string("a")];
        tensor<fp16, [1, 48, 1, 32]> b = slice_by_size(x = pair, begin = second, size = half)[name = string("b")];
        tensor<fp16, [1, 48, 1, 32]> open = sigmoid(x = a)[name = string("open")];
        tensor<fp16, [1, 48, 1, 32]> gate = mul(x = open, y = b)[name = string("gate")];
        tensor<fp16, [16, 48, 1, 1]> w = const()[name = string("w"), val = tensor<fp16, [16, 48, 1, 1]>(BLOBFILE(path = string("@model_path/weights/w.bin"), offset = uint64(64)))];
        string valid = const()[name = string("valid"), val = string("valid")];
        tensor<int32, [2]> ones = const()[name = string("ones"), val = tensor<int32, [2]>([1, 1])];
        tensor<int32, [4]> none = const()[name = string("none"), val = tensor<int32, [4]>([0, 0, 0, 0])];
        int32 one = const()[name = string("one"), val = int32(1)];
        tensor<fp16, [1, 16, 1, 32]> down = conv(dilations = ones, groups = one, pad = none, pad_type = valid, strides = ones, weight = w, x = gate)[name = string("down")];
        bool no = const()[name = string("no"), val = bool(false)];
        tensor<fp16, [1, 64, 1, 32]> out = concat(axis = one, interleave = no, values = (down, gate))[name = string("out")];
    } -> (out);
}
)";

}  // namespace

TEST_CASE("programs in the form of known training kernels break no rule", "[mil][rules]") {
  passes(attention());
  passes(parse(kGate));
}

TEST_CASE("a diagnostic reads as one line with place, finding and remedy", "[mil][rules]") {
  std::string text = kGate;
  text.replace(text.find("sigmoid("), 7, "rsqrt");
  const std::vector<Diagnostic> found = check_for_ane(parse(text));
  REQUIRE(found.size() == 1);
  CHECK(found[0].where.starts_with("line 10, column "));
  CHECK_THAT(to_string(found[0]),
             ANE_CONTAINS("A22 (refusal): line 10, column ") &&
                 ANE_CONTAINS("op 'open' (rsqrt): rsqrt of fp16 [1, 48, 1, 32] without epsilon; pass epsilon"));
  CHECK(name(Severity::wrong_result) == "wrong result");
  CHECK(name(Severity::slow) == "slow");
  CHECK(name(Severity::note) == "note");
}

TEST_CASE("a diagnostic names the chips on which the rule was observed", "[mil][rules]") {
  const Program sine = with_input({1, 64, 1, 64}, [](Builder& b, Var x) { return b.unary(OpKind::sin, "y", x); });
  CHECK_THAT(to_string(check_for_ane(sine).front()), ANE_CONTAINS("A56 (refusal on M1, M2): op 'y' (sin)"));
  CHECK_THAT(to_string(check_for_ane(sine, nullptr, "Apple M4").front()),
             ANE_CONTAINS("A56 (note; seen on M1, M2): op 'y' (sin)"));
}

TEST_CASE("diagnostics come in the order of the rules", "[mil][rules]") {
  Builder b(DType::fp32);
  const Var x = b.input("x", {2, 64, 1, 33});
  const Var y = b.unary(OpKind::rsqrt, "y", x);
  const Program program = std::move(b).finish(std::array{y});
  CHECK(broken_rules(program) == std::vector<std::string>{"A1", "A1", "A4", "A4", "A6", "A6", "A22"});
}

TEST_CASE("the table contains every rule that depends on text, once, with summary and remedy", "[mil][rules]") {
  const std::vector<std::string> expected{"A1",  "A3",  "A4",  "A5",  "A6",  "A10", "A14", "A20", "A21", "A22", "A23",
                                          "A24", "A25", "A26", "A27", "A28", "A29", "A30", "A31", "A32", "A33", "A34",
                                          "A36", "A37", "A38", "A39", "A43", "A44", "A46", "A47", "A48", "A50", "A54",
                                          "A55", "A56", "A57", "B3",  "B4",  "N1",  "N2",  "N7",  "R3",  "R4",  "mask"};
  std::vector<std::string> ids;
  for (const AneRule& rule : ane_rules()) {
    ids.emplace_back(rule.id);
    CAPTURE(rule.id);
    CHECK(rule.summary.size() > 10);
    CHECK(rule.remedy.size() > 20);
    CHECK(rule.check != nullptr);
  }
  CHECK(ids == expected);
}

}  // namespace ane::mil
