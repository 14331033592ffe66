#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ane/cli/settings.h"

namespace ane::app {

/// The values of a command's own options, which are not settings.
class OptionValues {
 public:
  /// `given` must outlive the object.
  explicit OptionValues(const cli::FlagValues& given) : given_(&given) {}

  /// Empty if the option is not given. Throws UsageError for an empty value.
  [[nodiscard]] std::string text(std::string_view name) const;
  /// Throws UsageError if the option is not given; `expected` says what its value is.
  [[nodiscard]] std::string required(std::string_view name, std::string_view expected) const;
  /// The values of an argument that may be given several times.
  [[nodiscard]] std::vector<std::string> list(std::string_view name) const;
  [[nodiscard]] bool toggle(std::string_view name) const { return text(name) == "true"; }
  /// `otherwise` if the option is not given. Throws UsageError unless the value is a whole number within the limits.
  [[nodiscard]] std::int64_t whole(std::string_view name, std::int64_t least, std::int64_t most,
                                   std::int64_t otherwise) const;
  /// The same for a number, whole or not.
  [[nodiscard]] double number(std::string_view name, double least, double most, double otherwise) const;
  /// The given ones of these settings, to be loaded like the flags of a training run.
  [[nodiscard]] cli::FlagValues settings(std::span<const std::string_view> names) const;

 private:
  const cli::FlagValues* given_;
};

}  // namespace ane::app
