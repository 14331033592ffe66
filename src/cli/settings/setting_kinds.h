#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "ane/cli/settings.h"

/// The kinds of settings: each function completes a row of the table with what a value must be, and how it is read and
/// shown.
namespace ane::cli {

/// A member of Settings or of its optimizer options.
template <class T>
class Field {
 public:
  Field(T Settings::*member) : member_(member) {}                       // NOLINT: a member is a field
  Field(T train::OptimizerOptions::*member) : of_optimizer_(member) {}  // NOLINT
  [[nodiscard]] T& in(Settings& settings) const {
    return member_ != nullptr ? settings.*member_ : settings.optimizer.*of_optimizer_;
  }
  [[nodiscard]] const T& in(const Settings& settings) const {
    return member_ != nullptr ? settings.*member_ : settings.optimizer.*of_optimizer_;
  }

 private:
  T Settings::*member_ = nullptr;
  T train::OptimizerOptions::*of_optimizer_ = nullptr;
};

/// A word that represents 0, for settings in which 0 has a special meaning.
struct Word {
  std::string_view word;
};

/// A whole number from `least` to `most`.
[[nodiscard]] Setting whole(Setting row, Field<std::int64_t> field, std::int64_t least, std::int64_t most,
                            Word zero = {});

struct Interval {
  double least;
  double most;
  bool open = false;      ///< `most` itself is out of range
  bool positive = false;  ///< `least` itself, 0, is out of range
};
/// A number in an interval. It is checked in fp32, because training computes in it: 1 - 1e-8 is 1 there, and 1e-46 is
/// 0.
[[nodiscard]] Setting real(Setting row, Field<double> field, Interval range, Word zero = {});

/// A text that is not empty.
[[nodiscard]] Setting text(Setting row, Field<std::string> field);

/// One of several words, which become the placeholder.
template <class Enum>
[[nodiscard]] Setting choice(Setting row, Field<Enum> field, std::vector<std::pair<std::string_view, Enum>> names) {
  row.kind = ValueKind::choice;
  row.expects = "one of";
  for (const auto& [name, value] : names) {
    row.expects += fmt::format("{} {}", row.placeholder.empty() ? "" : ",", name);
    row.placeholder += fmt::format("{}{}", row.placeholder.empty() ? "" : "|", name);
  }
  row.assign = [=](std::string_view word, Settings& settings) {
    const auto found = std::find_if(names.begin(), names.end(), [&](const auto& entry) { return entry.first == word; });
    if (found == names.end()) return false;
    field.in(settings) = found->second;
    return true;
  };
  row.show = [=](const Settings& settings) {
    const auto found =
        std::find_if(names.begin(), names.end(), [&](const auto& entry) { return entry.second == field.in(settings); });
    return std::string(found->first);
  };
  return row;
}

/// true or false.
[[nodiscard]] Setting toggle(Setting row, Field<bool> field);

/// A scaling of RoPE: "none" or "llama3:FACTOR:LOW:HIGH:POSITIONS".
[[nodiscard]] Setting rope_scaling(Setting row, Field<std::optional<model::RopeScaling>> field);

}  // namespace ane::cli
