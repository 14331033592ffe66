#include "run/region.h"

#include "attention_program.h"
#include "harness.h"
#include "support/catch.h"

namespace ane::device::host {
namespace {

using mil::Builder;
using mil::DType;
using mil::Program;
using mil::Var;

TEST_CASE("a region computes the same as its steps", "[device][host]") {
  const std::int64_t heads = GENERATE(1, 2, 3, 8, 9);
  CAPTURE(heads);
  check_against_reference(attention_program(heads), 1, 4 * tolerance_of(DType::fp16));
}

TEST_CASE("heads that share keys form a region of groups", "[device][host]") {
  Builder b(DType::fp16);
  const Var q = b.input("q_in", {2, 2, 3, 24, kHeadWidth});
  const Var k = b.input("k_in", {2, 2, 1, 20, kHeadWidth});
  const Var probs = b.softmax("probs", b.matmul("scores", q, k, false, true), -1);
  const Var out = b.matmul("out", probs, k);
  check_against_reference(std::move(b).finish(std::vector{out}), 2, 4 * tolerance_of(DType::fp16));
}

/// Each slice of the second product reads a part of every slice of the first.
Program across(const std::vector<std::int64_t>& perm) {
  Builder b(DType::fp16);
  const Var x = b.input("x_in", {4, 4, 4, 4});
  const Var y = b.input("y_in", {4, 4, 4, 4});
  const Var first = b.sigmoid("first_gate", b.matmul("first", x, y));
  const Var second = b.matmul("second", b.transpose("turned", first, perm), y);
  return std::move(b).finish(std::vector{second});
}

TEST_CASE("slices that depend on each other are not joined", "[device][host]") {
  const auto perm = GENERATE(std::vector<std::int64_t>{1, 0, 2, 3}, std::vector<std::int64_t>{2, 1, 0, 3},
                             std::vector<std::int64_t>{3, 1, 2, 0}, std::vector<std::int64_t>{0, 1, 3, 2});
  CAPTURE(perm);
  check_against_reference(across(perm), 3, 4 * tolerance_of(DType::fp16));
}

TEST_CASE("slices that overlap are not joined", "[device][host]") {
  Builder b(DType::fp32);
  const Var x = b.input("x_in", {4, 8, 8});
  const Var y = b.input("y_in", {4, 8, 8});
  const Var first = b.matmul("first", x, y);
  const Var flat = b.reshape("flat", first, {4 * 8 * 8});
  const Var shifted = b.reshape("shifted", b.slice("tail", flat, {32}, {192}), {3, 8, 8});
  const Var head = b.slice("head", first, {0, 0, 0}, {1, 8, 8});
  const Var all = b.concat("all", std::vector{shifted, head}, 0);
  const Var out = b.matmul("out", all, y);
  check_against_reference(std::move(b).finish(std::vector{out}), 4, 1e-5);
}

TEST_CASE("keeping a product's rows on their thread does not change the result", "[device][host]") {
  Builder b(DType::fp16);
  const Var x = b.input("x_in", {96, 64});
  const Var y = b.input("y_in", {64, 32});
  const Var gate = b.sigmoid("gate", b.matmul("product", x, y));
  check_against_reference(std::move(b).finish(std::vector{gate}), 5, 4 * tolerance_of(DType::fp16));
}

}  // namespace
}  // namespace ane::device::host
