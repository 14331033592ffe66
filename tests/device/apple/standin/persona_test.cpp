#include <chrono>
#include <cmath>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "direct.h"
#include "fakes/personas.h"

// What the personas of the stand-in do differently from it.

namespace ane::device::apple {
namespace {

using objc::Id;

const std::string kProduct = "y";
constexpr std::size_t kRow = 32;

/// y = x w for x [1, 1, 32, 64] and w [1, 1, 64, 32].
Sample product() {
  mil::Builder b(mil::DType::fp16);
  const mil::Var w = b.input("w", {1, 1, 64, 32});
  const mil::Var x = b.input("x", {1, 1, 32, 64});
  return {mil::print(std::move(b).finish(std::vector{b.matmul(kProduct, x, w)})), {}};
}

/// Columns 32 to 63 of x [1, 64, 1, 64].
Sample offset_slice() {
  mil::Builder b(mil::DType::fp16);
  const mil::Var x = b.input("x", {1, 64, 1, 64});
  return {mil::print(std::move(b).finish(std::vector{b.slice("y", x, {0, 0, 0, 32}, {1, 64, 1, 32})})), {}};
}

std::vector<float> run_direct(Direct& direct, const Sample& sample, const std::vector<std::vector<float>>& inputs,
                              std::size_t outputs) {
  const Id model = direct.loaded(sample);
  const auto& io = direct.frameworks.io_surface;
  std::vector<IoSurfaceRef> in;
  for (const std::vector<float>& values : inputs) {
    in.push_back(direct.raw_surface(values.size() * sizeof(math::Half)));
    auto* const halves = static_cast<math::Half*>(io.base_address(in.back()));
    for (std::size_t i = 0; i < values.size(); ++i) halves[i] = math::to_half(values[i]);
  }
  const std::vector<IoSurfaceRef> out{direct.raw_surface(outputs * sizeof(math::Half))};
  REQUIRE(direct.evaluate(model, direct.request(in, out)).empty());
  const auto* const halves = static_cast<const math::Half*>(io.base_address(out[0]));
  std::vector<float> result;
  for (std::size_t i = 0; i < outputs; ++i) result.push_back(math::to_float(halves[i]));
  REQUIRE(direct.unload(model).empty());
  direct.release(in);
  direct.release(out);
  return result;
}

/// The first element of x w, if each row of x is `row` and all of w is `factor`.
float dot_product(Direct& direct, const std::vector<float>& row, float factor) {
  std::vector<float> x;
  for (std::size_t i = 0; i < kRow; ++i) x.insert(x.end(), row.begin(), row.end());
  return run_direct(direct, product(), {std::vector<float>(64 * kRow, factor), x}, kRow * kRow).front();
}

std::vector<float> first_of(std::size_t count, float value, float rest = 0) {
  std::vector<float> row(64, rest);
  std::fill_n(row.begin(), count, value);
  return row;
}

std::string refusal(Direct& direct, const Sample& sample) {
  const Id model = direct.model(sample);
  const auto directory = direct.directory(model, sample);
  return direct.compile(model);
}

TEST_CASE("a persona's overflows, small products and NaN differ as its row says", "[apple][standin][persona]") {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  struct Row {
    std::string persona;
    float whole;    ///< for a sum of 40,000
    float running;  ///< for 40 products of 1,024 and 24 of -1,024
    float small;    ///< for one product of 2^-15
    float fine;     ///< for one product of 0.75 * 2^-15
    float nan;
  };
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  const auto row = GENERATE_COPY(Row{"", 40000, 16384, 0x1p-15F, 0x1.8p-16F, kNan}, Row{"m1", kInf, 16384, 0, 0, kNan},
                                 Row{"m3-ultra", 0, 0, 0, 0, kNan}, Row{"m4", kInf, kInf, 0x1p-15F, 0x1p-15F, kInf},
                                 Row{"m5", kInf, 16384, 0x1p-15F, 0x1.8p-16F, kNan});
  CAPTURE(row.persona);
  Direct direct;
  direct.standin.play(row.persona);
  CHECK(dot_product(direct, first_of(64, 25), 25) == row.whole);
  CHECK(dot_product(direct, first_of(40, 32, -32), 32) == row.running);
  CHECK(dot_product(direct, first_of(1, 0x1p-8F), 0x1p-7F) == row.small);
  CHECK(dot_product(direct, first_of(1, 0x1.8p-8F), 0x1p-8F) == row.fine);
  const float nan = dot_product(direct, first_of(1, kNan), 1);
  CAPTURE(nan);
  CHECK((nan == row.nan || (std::isnan(nan) && std::isnan(row.nan))));
  CHECK(dot_product(direct, first_of(64, 2), 3) == 384);
}

TEST_CASE("large matmuls and convolutions overflow as well", "[apple][standin][persona]") {
  mil::Builder b(mil::DType::fp16);
  const mil::Var w = b.input("w", {1, 1, 128, 128});
  const mil::Var x = b.input("x", {1, 1, 128, 128});
  const Sample sample{mil::print(std::move(b).finish(std::vector{b.matmul(kProduct, x, w)})), {}};
  Direct direct;
  direct.standin.play("m3-ultra");
  const std::vector<float> sixteen(128 * 128, 16);
  CHECK(run_direct(direct, sample, {sixteen, sixteen}, 128 * 128).front() == 0);
  const std::vector<float> eight(128 * 128, 8);
  CHECK(run_direct(direct, sample, {eight, eight}, 128 * 128).front() == 8192);

  Sample conv = projection();
  const std::span<std::byte> place =
      mil::single_blob(mil::DType::fp16, 32 * 64 * sizeof(math::Half), conv.weights.begin()->second);
  auto* const halves = reinterpret_cast<math::Half*>(place.data());
  std::fill_n(halves, 32 * 64, math::to_half(32));
  CHECK(run_direct(direct, conv, {std::vector<float>(64 * 32, 32)}, 64 * 32).front() == 0);
  direct.standin.play("m1");
  CHECK(std::isinf(run_direct(direct, conv, {std::vector<float>(64 * 32, 32)}, 64 * 32).front()));
}

TEST_CASE("only M1 turns large numbers in offset slices into infinity", "[apple][standin][persona]") {
  const auto [persona, is_exact] = GENERATE(table<std::string, bool>({{"", true}, {"m1", false}, {"m4", true}}));
  Direct direct;
  direct.standin.play(persona);
  std::vector<float> ramp(64 * 64, 4000);
  ramp[40] = 4096;
  const std::vector<float> found = run_direct(direct, offset_slice(), {ramp}, 64 * 32);
  CAPTURE(persona);
  CHECK(found[7] == 4000);
  CHECK(std::isinf(found[8]) != is_exact);
}

TEST_CASE("a persona refuses what breaks its rules", "[apple][standin][persona]") {
  mil::Builder wide(mil::DType::fp32);
  const Sample fp32{mil::print(std::move(wide).finish(std::vector{wide.relu("y", wide.input("x", {1, 64, 1, 32}))})),
                    {}};
  mil::Builder b(mil::DType::fp16);
  const mil::Var pairs = b.reshape("pairs", b.input("x", {1, 2, 64, 32}), {1, 2, 1024, 2});
  const std::vector<mil::Var> swapped{b.slice("second", pairs, {0, 0, 0, 1}, {1, 2, 1024, 1}),
                                      b.slice("first", pairs, {0, 0, 0, 0}, {1, 2, 1024, 1})};
  const Sample rope{
      mil::print(std::move(b).finish(std::vector{b.reshape("y", b.concat("joined", swapped, 3), {1, 2, 64, 32})})), {}};
  const auto [persona, takes_fp32, takes_rope] = GENERATE(table<std::string, bool, bool>(
      {{"", true, true}, {"m1", false, false}, {"m3-ultra", true, false}, {"m4", true, true}, {"m5", false, true}}));
  CAPTURE(persona);
  Direct direct;
  direct.standin.play(persona);
  CHECK(refusal(direct, fp32).empty() == takes_fp32);
  CHECK(refusal(direct, rope).empty() == takes_rope);
}

TEST_CASE("M5 verifies the files of a program", "[apple][standin][persona]") {
  namespace fs = std::filesystem;
  const bool verifies = GENERATE(false, true);
  Direct direct;
  direct.standin.play(verifies ? "m5" : "m4");
  const Sample sample = projection();
  const Id model = direct.model(sample);
  const auto directory = direct.directory(model, sample);
  const fs::path blob = directory->path() / "weights" / "w.bin";
  fs::copy_file(blob, directory->path() / "weights" / "linked.bin");
  fs::remove(blob);
  fs::create_symlink(directory->path() / "weights" / "linked.bin", blob);
  CHECK(direct.compile(model).empty() != verifies);
  fs::remove(blob);
  fs::rename(directory->path() / "weights" / "linked.bin", blob);
  REQUIRE(direct.compile(model).empty());
  fs::resize_file(blob, 100);  // new weights for a program in the cache: ignored or refused
  CHECK(direct.load(model).empty() != verifies);
}

TEST_CASE("M5 cancels evaluations while it powers on", "[apple][standin][persona]") {
  Direct direct;
  direct.standin.play("m5");
  const Id model = direct.loaded(offset_slice());
  const std::vector<IoSurfaceRef> in{direct.raw_surface(64 * 128)};
  const std::vector<IoSurfaceRef> out{direct.raw_surface(64 * 64)};
  const Id request = direct.request(in, out);
  CHECK(direct.evaluate(model, request).empty());
  direct.standin.be_idle(std::chrono::seconds(2));
  CHECK(direct.evaluate(model, request).empty());
  direct.standin.be_idle(std::chrono::seconds(7));
  for (int i = 0; i < 3; ++i) CHECK_THAT(direct.evaluate(model, request), ANE_CONTAINS("status=0x12"));
  CHECK(direct.evaluate(model, request).empty());
  CHECK(direct.unload(model).empty());
  direct.release(in);
  direct.release(out);
}

TEST_CASE("limits and names are the persona's", "[apple][standin][persona]") {
  Direct direct;
  direct.standin.play("scarce");
  CHECK(Frameworks(standard_libraries()).probe().chip == "Apple M4 Pro");
  int compiled = 0;
  Sample sample = projection();
  while (compiled < 60 && refusal(direct, sample).empty()) {
    sample.text += "\n";
    ++compiled;
  }
  CHECK(compiled == 54);
  CHECK_THROWS_WITH(direct.standin.play("m9"), ANE_CONTAINS("'m9'") && ANE_CONTAINS("m3-ultra"));
}

}  // namespace
}  // namespace ane::device::apple
