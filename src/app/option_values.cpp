#include "ane/app/option_values.h"

#include <cctype>
#include <optional>

#include <fmt/format.h>

#include "ane/cli/command_line.h"
#include "ane/cli/text.h"
#include "ane/core/error.h"

namespace ane::app {
namespace {

/// "--seed" for an option, "FILE" for an argument, whose name is in capitals.
std::string flag_of(std::string_view name) {
  const bool is_argument = std::isupper(static_cast<unsigned char>(name.front())) != 0;
  return fmt::format("{}{}", is_argument ? "" : "--", name);
}

}  // namespace

std::string OptionValues::text(std::string_view name) const {
  const auto found = given_->find(name);
  if (found == given_->end()) return "";
  if (found->second.empty()) throw UsageError(fmt::format("{}: the value is empty", flag_of(name)));
  return found->second;
}

std::string OptionValues::required(std::string_view name, std::string_view expected) const {
  std::string given = text(name);
  if (given.empty()) throw UsageError(fmt::format("missing {}: {}", flag_of(name), expected));
  return given;
}

std::vector<std::string> OptionValues::list(std::string_view name) const {
  std::vector<std::string> values;
  const std::string given = text(name);
  for (std::size_t begin = 0; begin < given.size();) {
    const std::size_t end = given.find(cli::kArgumentEnd, begin);
    values.push_back(given.substr(begin, end - begin));
    begin = end + 1;
  }
  return values;
}

std::int64_t OptionValues::whole(std::string_view name, std::int64_t least, std::int64_t most,
                                 std::int64_t otherwise) const {
  const std::string given = text(name);
  if (given.empty()) return otherwise;
  const std::optional<std::int64_t> number = cli::parse_integer(given);
  if (!number || *number < least || *number > most)
    throw UsageError(fmt::format("--{}: '{}' is not a whole number from {} to {}", name, given, least, most));
  return *number;
}

double OptionValues::number(std::string_view name, double least, double most, double otherwise) const {
  const std::string given = text(name);
  if (given.empty()) return otherwise;
  const std::optional<double> number = cli::parse_real(given);
  if (!number || !(*number >= least && *number <= most))
    throw UsageError(fmt::format("--{}: '{}' is not a number from {} to {}", name, given, least, most));
  return *number;
}

cli::FlagValues OptionValues::settings(std::span<const std::string_view> names) const {
  cli::FlagValues settings;
  for (const std::string_view name : names)
    if (const auto found = given_->find(name); found != given_->end()) settings.insert(*found);
  return settings;
}

}  // namespace ane::app
