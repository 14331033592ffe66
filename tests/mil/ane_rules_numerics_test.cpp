#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include "ane/math/half.h"

#include "ane_rules_support.h"

namespace ane::mil {
namespace {

constexpr Severity kWrong = Severity::wrong_result;
constexpr std::int64_t kMaskSeq = 32;

Program times(float value, DType element = DType::fp16) {
  return with_input(
      TensorType{DType::fp16, {1, 16, 1, 32}},
      [=](Builder& b, Var x) {
        if (element == DType::fp16) return b.mul("y", x, b.scalar(value));
        const Var wide =
            b.operation(OpKind::cast, "wide", {named("dtype", b.text("to", "fp32")), named("x", x)}).front();
        const Var factor = b.constant("factor", {{DType::fp32, {}}, std::vector<float>{value}});
        const Var product = b.mul("product", wide, factor);
        return apply(b, OpKind::cast, {named("dtype", b.text("back", "fp16")), named("x", product)});
      },
      DType::fp16);
}

/// Causal, except that rows from `first_whole` on are completely masked.
std::vector<float> mask_values(float masked, std::int64_t first_whole) {
  std::vector<float> values;
  for (std::int64_t row = 0; row < kMaskSeq; ++row)
    for (std::int64_t column = 0; column < kMaskSeq; ++column)
      values.push_back(column > row || row >= first_whole ? masked : 0.0F);
  return values;
}

Program masked_softmax(ConstantData mask) {
  return with_input({1, 2, kMaskSeq, kMaskSeq}, [&](Builder& b, Var x) {
    return b.softmax(
        "y", b.add("scores", x, b.constant("mask", {{DType::fp16, {1, 1, kMaskSeq, kMaskSeq}}, std::move(mask)})));
  });
}

}  // namespace

TEST_CASE("N1: constants are finite in fp16", "[mil][rules]") {
  breaks(times(70000.0F, DType::fp32), "N1", kWrong, "op 'factor' (const)", "the constant fp32 [] holds 70000");
  passes(times(65504.0F, DType::fp32));
  breaks(times(-std::numeric_limits<float>::infinity()), "N1", kWrong, "op 'c_minf' (const)", "fp16 [] holds -inf");
  breaks(times(std::nanf("")), "N1", kWrong, "op 'c_nan' (const)", "fp16 [] holds nan");
}

TEST_CASE("N2: factors of products are far below 2^15", "[mil][rules]") {
  const auto product = [](float value) {
    return with_input({1, 1, 32, 32}, [=](Builder& b, Var x) {
      std::vector<float> values(1024);
      values[500] = value;
      return b.matmul("y", x, b.constant("p", {{DType::fp16, {1, 1, 32, 32}}, values}));
    });
  };
  breaks(product(-16384.0F), "N2", kWrong, "op 'y' (matmul)", "it multiplies by a constant of magnitude 16384");
  passes(product(-10000.0F));
  passes(times(30000.0F));  // not a sum of products
}

TEST_CASE("N7: scalars are normal in fp16", "[mil][rules]") {
  breaks(times(1e-5F), "N7", Severity::note, "op 'y' (mul)", "it takes the constant 1.00136e-05");
  passes(times(0x1p-14F));
  passes(times(0.0F));
}

TEST_CASE("R3: slices begin at the start of the last axis, on M1 and M2", "[mil][rules]") {
  const auto slice = [](std::int64_t begin) {
    return with_input({1, 64, 1, 96}, [=](Builder& b, Var x) {
      return b.slice("y", x, {0, 0, 0, begin}, {1, 64, 1, 64});
    });
  };
  breaks(slice(32), "R3", kWrong, "op 'y' (slice_by_size)",
         "it begins at element 32 of the last axis of fp16 [1, 64, 1, 96]");
  passes(slice(0));
  passes(with_input({1, 96, 1, 64}, [](Builder& b, Var x) { return b.slice("y", x, {0, 32, 0, 0}, {1, 64, 1, 64}); }));
  const auto severity = [&](std::string_view chip) { return check_for_ane(slice(32), nullptr, chip).front().severity; };
  CHECK(severity("Apple M1") == kWrong);
  CHECK(severity("Apple M2 Ultra") == kWrong);
  CHECK(severity("Apple M4 Max") == Severity::note);
  CHECK(severity("Apple M10") == Severity::note);
}

TEST_CASE("R4: round is exact below 1,024", "[mil][rules]") {
  breaks(with_input({1, 64, 1, 32}, [](Builder& b, Var x) { return b.unary(OpKind::round, "y", x); }), "R4", kWrong,
         "op 'y' (round)", "round of fp16 [1, 64, 1, 32]");
}

TEST_CASE("mask: no row is completely masked", "[mil][rules]") {
  breaks(masked_softmax(mask_values(-65504.0F, 30)), "mask", kWrong, "op 'y' (softmax)",
         "all 32 elements of row 30 of its mask fp16 [1, 1, 32, 32] are -65504 or less");
  passes(masked_softmax(mask_values(-65504.0F, kMaskSeq)));  // causal, as in trainers
  passes(masked_softmax(mask_values(-10000.0F, 30)));        // useless but finite
}

TEST_CASE("mask: blob files are read if they are given", "[mil][rules]") {
  const Program program = masked_softmax(BlobRef{"@model_path/mask.bin", 64});
  passes(program);
  const auto blobs_with = [](std::int64_t first_whole) {
    Blobs blobs;
    const std::vector<float> values = mask_values(-65504.0F, first_whole);
    const std::span<std::byte> data = single_blob(DType::fp16, values.size() * 2, blobs["@model_path/mask.bin"]);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const math::Half half = math::to_half(values[i]);
      data[2 * i] = static_cast<std::byte>(half & 0xFF);
      data[2 * i + 1] = static_cast<std::byte>(half >> 8);
    }
    return blobs;
  };
  const Blobs good = blobs_with(kMaskSeq);
  const Blobs bad = blobs_with(0);
  passes(program, &good);
  breaks(program, "mask", kWrong, "op 'y' (softmax)", "all 32 elements of row 0", &bad);
}

}  // namespace ane::mil
