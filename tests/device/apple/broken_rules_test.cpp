#include "broken_rules.h"

#include <algorithm>
#include <string>
#include <vector>

#include "ane/mil/builder.h"

#include "support/catch.h"

namespace ane::device::apple {
namespace {

std::vector<std::string> rules(const mil::Program& program, std::string_view chip) {
  std::vector<std::string> rules;
  for (const mil::Diagnostic& diagnostic : broken_rules(program, nullptr, chip))
    if (mil::is_fault(diagnostic.severity)) rules.push_back(diagnostic.rule);
  return rules;
}

bool has(const std::vector<std::string>& rules, const char* rule) {
  return std::find(rules.begin(), rules.end(), rule) != rules.end();
}

TEST_CASE("a limit of some chips is a fault on those and on unknown chips, and a note on others", "[apple]") {
  mil::Builder b(mil::DType::fp16);
  const mil::Var x = b.input("data", {1, 64, 1, 64});
  const std::vector<mil::Var> halves{b.slice("right", x, {0, 0, 0, 32}, {1, 64, 1, 32}),
                                     b.slice("left", x, {0, 0, 0, 0}, {1, 64, 1, 32})};
  const mil::Var out = b.concat("out", halves, 3);
  const mil::Program program = std::move(b).finish(std::vector{out});
  CHECK(has(rules(program, "Apple M3 Ultra"), "A28"));
  CHECK(has(rules(program, ""), "A28"));
  CHECK_FALSE(has(rules(program, "Apple M4 Pro"), "A28"));
  CHECK(has(rules(program, "Apple M2"), "R3"));
}

TEST_CASE("what was found on a machine replaces what is known about its chip", "[apple]") {
  mil::Builder b(mil::DType::fp16);
  const mil::Var x = b.input("data", {1, 64, 1, 64});
  const mil::Var out = b.slice("right", x, {0, 0, 0, 32}, {1, 64, 1, 32});
  const mil::Program program = std::move(b).finish(std::vector{out});
  const auto found = [&](std::string_view chip, bool applies) {
    std::vector<std::string> texts;
    for (const mil::Diagnostic& diagnostic : broken_rules(program, nullptr, chip, {{"R3", applies}}))
      if (diagnostic.rule == "R3") texts.push_back(to_string(diagnostic));
    return texts;
  };
  CHECK(found("Apple M1", false).empty());
  REQUIRE(found("Apple M4", true).size() == 1);
  CHECK(found("Apple M4", true).front().starts_with("R3 (wrong result): "));
}

TEST_CASE("the order of inputs is not a fault, because the bridge binds by name", "[apple]") {
  mil::Builder b(mil::DType::fp16);
  const mil::Var second = b.input("second", {1, 64, 1, 32});
  const mil::Var first = b.input("first", {1, 64, 1, 32});
  const mil::Var sum = b.add("sum", second, first);
  const mil::Program program = std::move(b).finish(std::vector{sum});
  REQUIRE_FALSE(mil::check_for_ane(program).empty());
  CHECK(rules(program, "").empty());
}

}  // namespace
}  // namespace ane::device::apple
