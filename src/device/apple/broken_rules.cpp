#include "broken_rules.h"

#include <algorithm>
#include <array>

namespace ane::device::apple {

namespace {

struct ChipRule {
  std::string_view rule;
  std::string_view chip;  ///< part of the name of the chips that have this limit, as ane.md names them
};
constexpr std::array kChipRules{ChipRule{"A28", "Ultra"}, ChipRule{"A29", "M1"}, ChipRule{"A33", "M1"}};

constexpr std::array<std::string_view, 2> kBindingRules{"A10", "A14"};

bool holds_here(std::string_view rule, std::string_view chip) {
  if (std::find(kBindingRules.begin(), kBindingRules.end(), rule) != kBindingRules.end()) return false;
  const auto* const limit =
      std::find_if(kChipRules.begin(), kChipRules.end(), [&](const ChipRule& entry) { return entry.rule == rule; });
  return limit == kChipRules.end() || chip.empty() || chip.find(limit->chip) != std::string_view::npos;
}

}  // namespace

std::vector<mil::Diagnostic> broken_rules(const mil::Program& program, const mil::Blobs* weights,
                                          std::string_view chip) {
  std::vector<mil::Diagnostic> found = mil::check_for_ane(program, weights);
  std::erase_if(found, [&](const mil::Diagnostic& diagnostic) { return !holds_here(diagnostic.rule, chip); });
  return found;
}

}  // namespace ane::device::apple
