#include "broken_rules.h"

#include <algorithm>
#include <array>

namespace ane::device::apple {

namespace {

constexpr std::array<std::string_view, 2> kBindingRules{"A10", "A14"};

mil::Severity severity_of(std::string_view rule) {
  return std::ranges::find(mil::ane_rules(), rule, &mil::AneRule::id)->severity;
}

}  // namespace

std::vector<mil::Diagnostic> broken_rules(const mil::Program& program, const mil::Blobs* weights, std::string_view chip,
                                          const RuleOverrides& overrides) {
  std::vector<mil::Diagnostic> found = mil::check_for_ane(program, weights, chip);
  std::erase_if(found, [&](mil::Diagnostic& diagnostic) {
    const auto override = overrides.find(diagnostic.rule);
    if (override == overrides.end()) return false;
    diagnostic.severity = severity_of(diagnostic.rule);
    diagnostic.chips.clear();
    return !override->second;
  });
  std::erase_if(found, [](const mil::Diagnostic& diagnostic) {
    return std::find(kBindingRules.begin(), kBindingRules.end(), diagnostic.rule) != kBindingRules.end();
  });
  return found;
}

}  // namespace ane::device::apple
