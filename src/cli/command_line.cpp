#include "ane/cli/command_line.h"

#include <algorithm>
#include <map>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "ane/cli/text.h"
#include "ane/cli/version.h"
#include "ane/core/error.h"

namespace ane::cli {
namespace {

constexpr const char* kDescription =
    "Trains transformers on Apple's Neural Engine through MIL, or on the CPU with the same kernels.\n"
    "A flag takes precedence over its environment variable, the config and the default, in this order.";
constexpr const char* kFooter =
    "Other commands:\n"
    "  ane-train mil FILE          check and run MIL text (ane-train mil --help)\n"
    "  ane-train doctor            show what this machine offers and test its device\n\n"
    "Exit codes: 0 finished, 2 settings, 3 files, 4 device, 5 training diverged, 70 internal error,\n"
    "128+n after signal n.";

/// Values that CLI11 found for each row; a vector, so that repeated flags can be detected.
using Found = std::map<std::string, std::vector<std::string>, std::less<>>;

void add_row(const Setting& row, CLI::App& app, std::vector<std::string>& values) {
  std::string help = row.help;
  const std::string otherwise = row.show(Settings{});
  const bool starts_off = row.kind == ValueKind::toggle && row.negation.empty();
  if (!starts_off && !otherwise.empty() && row.name != "steps") {
    help += fmt::format(" [{}]", otherwise);
  }
  if (!row.environment.empty()) help += fmt::format(" ({})", row.environment);
  CLI::Option* option = nullptr;
  if (row.kind == ValueKind::toggle) {
    const std::string names = row.negation.empty() ? row.flag() : fmt::format("{},!{}", row.flag(), row.negation);
    option = app.add_flag(names, values, help);
  } else {
    option = app.add_option(row.flag(), values, help)->expected(1)->type_name(std::string(row.placeholder));
    option->allow_extra_args(false);  // a vector would consume every word up to the next flag
  }
  option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)->group(std::string(row.group));
}

/// CLI11 marks a negated flag with "{false}", which is not part of the flag.
std::string help_of(const CLI::App& app) {
  constexpr std::string_view kMark = "{false}";
  std::string text = app.help();
  for (std::size_t at = 0; (at = text.find(kMark, at)) != std::string::npos;)
    text.replace(at, kMark.size(), kMark.size(), ' ');
  return text;
}

[[noreturn]] void refuse_word(const std::string& word) {
  if (!word.starts_with("-")) {
    throw UsageError(fmt::format("unexpected argument '{}'; every setting is a flag (see ane-train --help)", word));
  }
  const std::string flag = word.substr(0, word.find('='));
  std::vector<std::string> flags;
  for (const Setting& row : settings_table()) {
    flags.push_back(row.flag());
    if (!row.negation.empty()) flags.emplace_back(row.negation);
  }
  throw UsageError(fmt::format("unknown option {}{} (see ane-train --help)", flag, did_you_mean(flag, flags)));
}

}  // namespace

CommandLine parse_command_line(std::span<const std::string> arguments) {
  CLI::App app{kDescription, "ane-train"};
  app.footer(kFooter);
  app.allow_extras();
  app.set_version_flag("--version", version_text());
  app.get_formatter()->column_width(32);
  Found found;
  for (const Setting& row : settings_table()) add_row(row, app, found[std::string(row.name)]);

  CommandLine result;
  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));  // CLI11 takes them last to first
  } catch (const CLI::CallForHelp&) {
    result.answer = help_of(app);
    return result;
  } catch (const CLI::CallForVersion& version) {
    result.answer = std::string(version.what()) + "\n";
    return result;
  } catch (const CLI::ParseError& error) {
    throw UsageError(fmt::format("{} (see ane-train --help)", error.what()));
  }
  for (const auto& [name, values] : found) {
    for (const std::string& value : values) {
      if (value.starts_with("--")) throw UsageError(fmt::format("--{} needs a value before {}", name, value));
    }
  }
  for (const std::string& word : app.remaining()) refuse_word(word);
  for (auto& [name, values] : found) {
    if (values.empty()) continue;
    if (values.size() > 1) throw UsageError(fmt::format("--{} is given {} times; keep one", name, values.size()));
    result.flags[name] = std::move(values.front());
  }
  return result;
}

}  // namespace ane::cli
