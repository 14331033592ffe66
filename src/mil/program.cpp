#include "ane/mil/program.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "ane/core/error.h"

namespace ane::mil {
namespace {

// In the order of the enumerators.
constexpr std::array<std::string_view, 3> kVersions{"1.0", "1.3", "1.5"};
constexpr std::array<std::string_view, 7> kOpSets{"ios13", "ios14", "ios15", "ios16", "ios17", "ios18", "ios26"};

template <class Enum, std::size_t kCount>
std::optional<Enum> from_name(const std::array<std::string_view, kCount>& names, std::string_view name) noexcept {
  const auto* const found = std::find(names.begin(), names.end(), name);
  return found == names.end() ? std::nullopt : std::optional(static_cast<Enum>(found - names.begin()));
}

bool same_float(float a, float b) {
  return std::isnan(a) ? std::isnan(b) : a == b && std::signbit(a) == std::signbit(b);
}

}  // namespace

bool operator==(const Constant& a, const Constant& b) {
  if (a.type != b.type || a.data.index() != b.data.index()) return false;
  const auto* floats = std::get_if<std::vector<float>>(&a.data);
  if (floats == nullptr) return a.data == b.data;
  const auto& others = std::get<std::vector<float>>(b.data);
  return std::equal(floats->begin(), floats->end(), others.begin(), others.end(), same_float);
}

std::string_view name(Version version) noexcept { return kVersions[static_cast<std::size_t>(version)]; }

std::optional<Version> version_from_name(std::string_view name) noexcept { return from_name<Version>(kVersions, name); }

std::string_view name(OpSet opset) noexcept { return kOpSets[static_cast<std::size_t>(opset)]; }

std::optional<OpSet> opset_from_name(std::string_view name) noexcept { return from_name<OpSet>(kOpSets, name); }

const Function& Program::main() const {
  for (const Function& function : functions)
    if (function.name == "main") return function;
  if (functions.empty()) throw Error("the program has no function");
  return functions.front();
}

std::vector<std::pair<std::string, std::string>> default_build_info(Dialect dialect) {
  if (dialect == Dialect::ios16) return {{"coremlc-version", "3505.4.1"}};
  return {{"coremlc-component-MIL", "3510.2.1"},
          {"coremlc-version", "3505.4.1"},
          {"coremltools-component-milinternal", ""},
          {"coremltools-version", "9.0"}};
}

const Operation* defining_operation(const Function& function, ValueId id) {
  // Values are numbered in order of definition, so operations are sorted by their first result.
  const auto after = std::upper_bound(function.operations.begin(), function.operations.end(), id,
                                      [](ValueId wanted, const Operation& operation) {
                                        return operation.results.empty() || wanted < operation.results.front();
                                      });
  if (after == function.operations.begin()) return nullptr;
  const Operation& found = *(after - 1);
  return !found.results.empty() && id >= found.results.front() && id <= found.results.back() ? &found : nullptr;
}

const Constant* constant_of(const Function& function, const Operand& operand) {
  if (const auto* constant = std::get_if<Constant>(&operand)) return constant;
  const Operation* operation = defining_operation(function, std::get<ValueId>(operand));
  if (operation == nullptr || operation->kind != OpKind::constant) return nullptr;
  for (const Argument& attribute : operation->attributes)
    if (attribute.name == "val" && attribute.operands.size() == 1)
      return std::get_if<Constant>(&attribute.operands.front());
  return nullptr;
}

}  // namespace ane::mil
