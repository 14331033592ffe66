#include "ane/cli/command_options.h"

#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "ane/core/error.h"

namespace ane::cli {
namespace {

void add_option(const CommandOption& option, CLI::App& app) {
  if (bool* const* const given = std::get_if<bool*>(&option.target)) {
    app.add_flag(option.name, **given, option.help);
    return;
  }
  CLI::Option* const added = app.add_option(option.name, *std::get<std::string*>(option.target), option.help);
  if (option.name.starts_with("-")) {
    added->type_name(option.placeholder);
  } else {
    added->required();
  }
}

}  // namespace

std::string parse_command_options(const CommandHelp& command, std::span<const CommandOption> options,
                                  std::span<const std::string> arguments) {
  CLI::App app{std::string(command.description), fmt::format("ane-train {}", command.name)};
  for (const CommandOption& option : options) add_option(option, app);
  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));  // CLI11 takes them last to first
  } catch (const CLI::CallForHelp&) {
    std::string text = app.help();
    text.resize(text.find_last_not_of('\n') + 1);  // the caller ends the line
    return text;
  } catch (const CLI::ParseError& error) {
    throw UsageError(fmt::format("{}: {} (ane-train {} --help)", command.name, error.what(), command.name));
  }
  return {};
}

}  // namespace ane::cli
