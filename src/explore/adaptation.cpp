#include "ane/explore/adaptation.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "ane/explore/experiments.h"

namespace ane::explore {

namespace {

constexpr double kMostSensible = 1e6;

/// The number that a limit's experiment reached, also if its process crashed or hung there.
std::optional<int> limit_of(const Finding* finding) {
  if (finding == nullptr || finding->verdict == kFailed || !finding->value) return std::nullopt;
  if (!(*finding->value >= 1) || *finding->value > kMostSensible) return std::nullopt;
  return static_cast<int>(*finding->value);
}

void adapt_compile_budget(const Verdicts& verdicts, Adaptation& adaptation) {
  const Finding* const finding = verdicts.find(kCompileLimit);
  const std::optional<int> limit = limit_of(finding);
  if (!limit) return;
  const int budget = std::max(1, *limit * 4 / 5);
  adaptation.limits.measured_compiles = budget;
  adaptation.limits.hard_compiles = *limit;
  adaptation.choices.push_back(
      {"compile budget", fmt::format("{}", budget), fmt::format("a fifth less than was reached: {}", finding->words)});
}

void adapt_resident_limit(const Verdicts& verdicts, Adaptation& adaptation) {
  const Finding* const finding = verdicts.find(kResidentLimit);
  const std::optional<int> limit = limit_of(finding);
  if (!limit) return;
  adaptation.limits.programs = *limit;
  adaptation.choices.push_back({"programs held at once", fmt::format("{}", *limit), finding->words});
}

/// An overflow that becomes infinity is seen in the result; otherwise only magnitudes near the limit give it away.
void adapt_overflow_test(const Verdicts& verdicts, Adaptation& adaptation) {
  constexpr float kVisible = 0x1p15F;
  constexpr double kCautiousScale = 16384;
  const Finding* const finding = verdicts.find(kOverflow);
  if (finding == nullptr) return;
  device::DeviceLimits& limits = adaptation.limits;
  if (finding->verdict == "right" || finding->verdict == "infinite") {
    limits.activation = limits.gradient = kVisible;
    adaptation.choices.push_back({"overflow test", "magnitudes from 32768 on",
                                  fmt::format("an overflow shows in the result: {}", finding->words)});
    return;
  }
  if (finding->verdict != "zero" && finding->verdict != "wrong" && finding->verdict != "nan") return;
  limits.activation = kVisible / 2;
  limits.gradient = kVisible / 4;
  adaptation.largest_loss_scale = kCautiousScale;
  const std::string reason = fmt::format("an overflow does not show in the result: {}", finding->words);
  adaptation.choices.push_back({"overflow test", "magnitudes from 16384 on, in gradients from 8192 on", reason});
  adaptation.choices.push_back({"largest loss scale", fmt::format("{}", kCautiousScale), reason});
}

void adapt_layout(const Verdicts& verdicts, Adaptation& adaptation) {
  constexpr const char* kOffsetSliceRule = "R3";
  const Finding* const finding = verdicts.find(kOffsetSlice);
  if (finding == nullptr) return;
  const bool is_right = finding->verdict == "right";
  if (!is_right && finding->verdict != "infinite" && finding->verdict != "wrong") return;
  adaptation.rules[kOffsetSliceRule] = !is_right;
  adaptation.choices.push_back(
      {"packing of the kernels' input", is_right ? "along the width" : "along the channels", finding->words});
}

void adapt_retries(const Verdicts& verdicts, Adaptation& adaptation) {
  constexpr int kMargin = 4;
  const Finding* const finding = verdicts.find(kIdle);
  if (finding == nullptr || finding->verdict != "cancelled") return;
  const std::optional<int> cancelled = limit_of(finding);
  if (!cancelled) return;
  adaptation.cancel_retries = kMargin * std::min(*cancelled, 1000);
  adaptation.choices.push_back(
      {"retries of a cancelled run", fmt::format("at least {}", adaptation.cancel_retries), finding->words});
}

void adapt_place_of_compiles(const Verdicts& verdicts, Adaptation& adaptation) {
  const Finding* const cached_load = verdicts.find(kCachedLoad);
  const Finding* const load_limit = verdicts.find(kLoadLimit);
  if (cached_load == nullptr || load_limit == nullptr) return;
  const bool loads = cached_load->verdict == "loaded";
  const bool is_unlimited = load_limit->verdict == "unlimited";
  Choice choice{"place of compiles", "worker", fmt::format("{}; {}", cached_load->words, load_limit->words)};
  if (!loads || !is_unlimited) choice = {"place of compiles", "process", (loads ? load_limit : cached_load)->words};
  adaptation.compile_in = std::move(choice);
}

}  // namespace

Adaptation adapt(const Verdicts& verdicts) {
  Adaptation adaptation;
  adapt_compile_budget(verdicts, adaptation);
  adapt_resident_limit(verdicts, adaptation);
  adapt_overflow_test(verdicts, adaptation);
  adapt_layout(verdicts, adaptation);
  adapt_retries(verdicts, adaptation);
  adapt_place_of_compiles(verdicts, adaptation);
  return adaptation;
}

device::apple::AneOptions adapted(device::apple::AneOptions options, const Adaptation& adaptation) {
  options.limits = adaptation.limits;
  options.rules = adaptation.rules;
  options.cancel_retries = std::max(options.cancel_retries, adaptation.cancel_retries);
  return options;
}

}  // namespace ane::explore
