#include "ane/explore/adaptation.h"

#include <string>

#include "ane/explore/experiments.h"

#include "support/catch.h"

namespace ane::explore {
namespace {

Adaptation adapted_to(std::string_view experiment, const Finding& finding) {
  Verdicts verdicts;
  verdicts.findings.emplace(experiment, finding);
  return adapt(verdicts);
}

bool is_default(const Adaptation& adaptation) {
  const device::DeviceLimits usual;
  const device::DeviceLimits& found = adaptation.limits;
  return adaptation.choices.empty() && adaptation.rules.empty() && adaptation.cancel_retries == 0 &&
         !adaptation.largest_loss_scale && !found.measured_compiles && found.hard_compiles == usual.hard_compiles &&
         found.programs == usual.programs && found.activation == usual.activation && found.gradient == usual.gradient;
}

TEST_CASE("without a usable finding nothing is adapted", "[explore][adaptation]") {
  CHECK(is_default(adapt({})));
  for (const Experiment& experiment : experiments())
    for (const Finding& useless :
         {Finding{std::string(kFailed), 7, ""}, Finding{"nonsense", std::nullopt, ""}, Finding{"", -1, ""}}) {
      CAPTURE(std::string(experiment.name), useless.verdict);
      CHECK(is_default(adapted_to(experiment.name, useless)));
    }
}

TEST_CASE("the compile budget is four fifths of what was reached, also by a process that crashed",
          "[explore][adaptation]") {
  const auto [verdict, reached, budget] = GENERATE(table<std::string, double, int>(
      {{"limited", 119, 95}, {"unlimited", 300, 240}, {"crashed", 54, 43}, {"timed out", 1, 1}}));
  const Adaptation adaptation = adapted_to(kCompileLimit, {verdict, reached, "words"});
  CHECK(adaptation.limits.measured_compiles == budget);
  CHECK(adaptation.limits.hard_compiles == static_cast<int>(reached));
  REQUIRE(adaptation.choices.size() == 1);
  CHECK_THAT(adaptation.choices.front().reason, ANE_CONTAINS("words"));
}

TEST_CASE("an overflow that shows in the result needs no caution", "[explore][adaptation]") {
  const Adaptation visible = adapted_to(kOverflow, {"infinite", 1, ""});
  CHECK(visible.limits.gradient == 0x1p15F);
  CHECK_FALSE(visible.largest_loss_scale.has_value());
  const Adaptation hidden = adapted_to(kOverflow, {"zero", 1, ""});
  CHECK(hidden.limits.activation == 0x1p14F);
  CHECK(hidden.limits.gradient == 0x1p13F);
  CHECK(hidden.largest_loss_scale == 16384);
}

device::apple::AneOptions retrying(int retries) {
  device::apple::AneOptions options;
  options.cancel_retries = retries;
  return options;
}

TEST_CASE("programs, slices and retries follow from their experiments", "[explore][adaptation]") {
  CHECK(adapted_to(kResidentLimit, {"limited", 54, ""}).limits.programs == 54);
  const Adaptation exact = adapted_to(kOffsetSlice, {"right", std::nullopt, "words"});
  CHECK_FALSE(exact.rules.at("R3"));
  CHECK(exact.choices.front().value == "along the width");
  const Adaptation clamping = adapted_to(kOffsetSlice, {"infinite", 4160, "words"});
  CHECK(clamping.rules.at("R3"));
  CHECK(clamping.choices.front().value == "along the channels");
  const Adaptation resting = adapted_to(kIdle, {"cancelled", 3, ""});
  CHECK(adapted(retrying(8), resting).cancel_retries == 12);
  CHECK(adapted(retrying(20), resting).cancel_retries == 20);
}

std::string place_of_compiles(const std::string& cached_load, const std::string& load_limit) {
  Verdicts verdicts;
  verdicts.findings[std::string(kCachedLoad)] = {cached_load, 1, "cached loads"};
  if (!load_limit.empty()) verdicts.findings[std::string(kLoadLimit)] = {load_limit, 1, "many loads"};
  const std::optional<Choice> choice = adapt(verdicts).compile_in;
  return choice ? choice->value + " because " + choice->reason : "unknown";
}

TEST_CASE("workers compile where cached programs load, as often as necessary", "[explore][adaptation]") {
  CHECK(place_of_compiles("loaded", "unlimited") == "worker because cached loads; many loads");
  CHECK(place_of_compiles("loaded", "limited") == "process because many loads");
  CHECK(place_of_compiles("loaded", "failed") == "process because many loads");
  CHECK(place_of_compiles("loaded", "") == "unknown");
  for (const std::string verdict : {"compiled", "lost", "refused", "wrong", "crashed"})
    CHECK(place_of_compiles(verdict, "unlimited") == "process because cached loads");
}

}  // namespace
}  // namespace ane::explore
