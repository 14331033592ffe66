#include "ane/explore/explore.h"

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "ane/core/error.h"

#include "support/catch.h"
#include "support/sanitized.h"
#include "support/temporary_directory.h"

extern char** environ;  // NOLINT: POSIX declares it so

namespace ane::explore {
namespace {

using Findings = std::map<std::string, Finding, std::less<>>;

/// Explores the stand-in in its own temporary directory, without pauses.
class Exploring {
 public:
  Findings run(const std::vector<std::string>& variables, double patience = 1, bool quick = false) {
    Exploration exploration{.executable = ANE_TRAIN_STANDIN, .quick = quick, .patience = patience};
    for (char** entry = environ; *entry != nullptr; ++entry) exploration.environment.emplace_back(*entry);
    for (const std::string& variable : variables) exploration.environment.push_back(variable);
    exploration.environment.push_back("STANDIN_HOME=" + (directory_.path() / "home").string());
    exploration.environment.emplace_back("STANDIN_CLOCK=simulated");
    exploration.environment.emplace_back("STANDIN_COMPILE_MS=0");
    exploration.environment.emplace_back("STANDIN_THREADS=1");
    Findings findings;
    explore(exploration,
            {.begins = [&](std::size_t index, std::size_t count, const Experiment&) { CHECK(index <= count); },
             .ends =
                 [&](const Experiment& experiment, const Finding& finding) {
                   UNSCOPED_INFO(std::string(experiment.name) + ": " + finding.words);
                   CHECK(findings.emplace(experiment.name, finding).second);
                 }});
    return findings;
  }
  [[nodiscard]] bool has_left_programs() const {
    const std::filesystem::path cache = directory_.path() / "home-cache";
    return std::filesystem::exists(cache) && !std::filesystem::is_empty(cache);
  }

 private:
  TemporaryDirectory directory_;
};

struct Expected {
  std::string chip;
  std::string compile_limit;
  double compiles;
  std::string resident_limit;
  double residents;
  std::string overflow;
  double sees_running_sums;
  std::string nan;
  double smallest_product;
  std::string offset_slice;
  std::string idle;
};

TEST_CASE("exploring finds what each persona does", "[explore]") {
  const auto expected =
      GENERATE(Expected{"m1", "limited", 119, "limited", 127, "infinite", 0, "nan", 0x1p-14, "infinite", "steady"},
               Expected{"m3-ultra", "limited", 119, "limited", 127, "zero", 1, "nan", 0x1p-14, "right", "steady"},
               Expected{"m4", "limited", 132, "limited", 127, "infinite", 1, "infinite", 0x1p-16, "right", "steady"},
               Expected{"m5", "limited", 169, "limited", 127, "infinite", 0, "nan", 0x1p-18, "right", "cancelled"},
               Expected{"generous", "limited", 237, "limited", 237, "infinite", 0, "nan", 0x1p-18, "right", "steady"},
               Expected{"scarce", "limited", 54, "limited", 54, "infinite", 0, "nan", 0x1p-18, "right", "steady"});
  if (kSanitized && expected.chip != "m1" && expected.chip != "m5" && expected.chip != "scarce") return;
  CAPTURE(expected.chip);
  Exploring exploring;
  const Findings found = exploring.run({"STANDIN_CHIP=" + expected.chip});
  REQUIRE(found.size() == experiments().size());
  const auto of = [&](std::string_view name) { return found.find(name)->second; };
  CHECK(of(kFailures).verdict == "reported");
  CHECK(of(kBinding).verdict == "sorted");
  // On a busy machine a load can take as long as a compile, which costs the stand-in nothing here.
  const Finding& cached_load = of(kCachedLoad);
  CHECK((cached_load.verdict == "loaded" || (cached_load.verdict == "compiled" && cached_load.value >= 10)));
  CHECK(of(kCompileLimit).verdict == expected.compile_limit);
  CHECK(of(kCompileLimit).value == expected.compiles);
  CHECK(of(kLoadLimit).verdict == "unlimited");
  CHECK(of(kResidentLimit).verdict == expected.resident_limit);
  CHECK(of(kResidentLimit).value == expected.residents);
  CHECK(of(kOverflow).verdict == expected.overflow);
  CHECK(of(kOverflow).value == expected.sees_running_sums);
  CHECK(of(kSmallProducts).verdict == expected.nan);
  CHECK(of(kSmallProducts).value == expected.smallest_product);
  CHECK(of(kOffsetSlice).verdict == expected.offset_slice);
  // A busy machine can make any run slow, but it cancels none.
  const std::string idle = of(kIdle).verdict;
  CHECK((idle == expected.idle || (expected.idle != "cancelled" && (idle == "throttled" || idle == "slow"))));
  CHECK_FALSE(exploring.has_left_programs());
}

TEST_CASE("a load without a compile is recognized by its time", "[explore]") {
  // A compile takes longer than a load on the busiest machine; a second one crashes, so that the other experiments are
  // short.
  Exploring exploring;
  const Findings found = exploring.run({"STANDIN_COMPILE_MS=1000", "STANDIN_CRASH=compile:2"}, 1, true);
  const Finding& cached_load = found.find(kCachedLoad)->second;
  CHECK(cached_load.verdict == "loaded");
  CHECK(cached_load.value.value_or(1000) < 500);
}

TEST_CASE("an engine that refuses everything is a finding", "[explore]") {
  Exploring exploring;
  const Findings found = exploring.run({"STANDIN_CHIP=vm"}, 1, true);
  CHECK(found.size() == experiments().size() - 1);
  for (const auto& [name, finding] : found) {
    CAPTURE(name);
    CHECK(finding.verdict == kFailed);
    CHECK_THAT(finding.words, ANE_CONTAINS("code 22"));
  }
}

TEST_CASE("a crash of an experiment's process is a finding, with how far it got", "[explore]") {
  Exploring exploring;
  const Findings found = exploring.run({"STANDIN_CRASH=compile:30"}, 1, true);
  CHECK(found.size() == experiments().size() - 1);
  CHECK(found.find(kFailures)->second.verdict == "reported");
  const Finding& limit = found.find(kCompileLimit)->second;
  CHECK(limit.verdict == kCrashed);
  CHECK(limit.value == 29);
  CHECK_THAT(limit.words, ANE_CONTAINS("signal 6") && ANE_CONTAINS("it had reached 29"));
}

TEST_CASE("an experiment that hangs is killed after its time limit", "[explore]") {
  Exploring exploring;
  const Findings found = exploring.run({"STANDIN_HANG=evaluate:1"}, 0.02, true);
  CHECK(found.size() == experiments().size() - 1);
  for (const auto& [name, finding] : found) {
    CAPTURE(name);
    if (name == kLoadLimit || name == kResidentLimit || name == kCompileLimit) continue;  // their limits are longer
    CHECK(finding.verdict == kTimedOut);
    CHECK_THAT(finding.words, ANE_CONTAINS("did not end within 60 s"));
  }
}

TEST_CASE("a process that cannot be started is an error", "[explore]") {
  CHECK_THROWS_WITH(explore({.executable = "/missing"}, {.begins = [](std::size_t, std::size_t, const Experiment&) {},
                                                         .ends = [](const Experiment&, const Finding&) {}}),
                    ANE_CONTAINS("a process cannot be started: /missing"));
}

TEST_CASE("only what an exploration sets is a stage", "[explore]") {
  const StageRequest request{.experiment = "cached-load", .stage = 1, .seed = 77, .before = 12.5};
  const auto find = [](const std::string& text) {
    return find_stage_request(std::vector<std::string>{std::string(kStageVariable) + "=" + text});
  };
  const auto found = find(to_text(request));
  REQUIRE(found.has_value());
  CHECK(found->experiment == "cached-load");
  CHECK(found->stage == 1);
  CHECK(found->seed == 77);
  CHECK(found->before == 12.5);
  CHECK_FALSE(find_stage_request(std::vector<std::string>{"HOME=/"}).has_value());
  for (const char* wrong : {"", "nothing 0 1 0", "idle 9 1 0", "idle 0 1 -1", "idle 0 1 nan", "idle"}) {
    CAPTURE(wrong);
    CHECK_THROWS_AS(find(wrong), UsageError);
  }
}

}  // namespace
}  // namespace ane::explore
