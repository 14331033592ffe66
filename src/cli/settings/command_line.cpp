#include "ane/cli/command_line.h"

#include <algorithm>
#include <map>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "ane/cli/text.h"
#include "ane/cli/version.h"
#include "ane/core/error.h"

namespace ane::cli {
namespace {

constexpr const char* kProgram = "ane-train";
constexpr const char* kPrecedence =
    "A flag takes precedence over its environment variable, the config, the resumed checkpoint and the default,\n"
    "in this order.";
constexpr const char* kFooter =
    "Exit codes: 0 finished, 2 settings, 3 files, 4 device, 5 training diverged, 70 internal error,\n"
    "128+n after signal n.";

/// The values that CLI11 found for each option; vectors, so that repeated options can be detected.
using Found = std::map<std::string, std::vector<std::string>, std::less<>>;

std::string flag_of(const CommandOption& option) {
  const bool positional = option.kind == CommandOption::Kind::argument || option.kind == CommandOption::Kind::arguments;
  return positional ? option.name : fmt::format("--{}", option.name);
}

void add_option(const CommandOption& option, CLI::App& app, std::vector<std::string>& values) {
  CLI::Option* added = nullptr;
  if (option.kind == CommandOption::Kind::toggle) {
    const std::string negation = option.negation.empty() ? "" : fmt::format(",!{}", option.negation);
    added = app.add_flag(flag_of(option) + negation, values, option.help);
  } else if (option.kind == CommandOption::Kind::arguments) {
    added = app.add_option(flag_of(option), values, option.help)->expected(-1)->type_name("");
  } else {
    const std::string letter = option.letter.empty() ? "" : fmt::format("-{},", option.letter);
    added = app.add_option(letter + flag_of(option), values, option.help)->expected(1)->allow_extra_args(false);
    added->required(option.kind == CommandOption::Kind::argument);
    if (!option.placeholder.empty()) added->type_name(option.placeholder);
  }
  added->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  if (!option.group.empty()) added->group(option.group);
}

/// Writes "--resume auto" as "--resume=auto", which every version of CLI11 reads in the same way. They differ in how
/// they read options whose value may be missing.
std::vector<std::string> with_joined_values(const Command& command, std::span<const std::string> arguments) {
  std::vector<std::string> joined;
  for (const std::string& word : arguments) {
    const bool is_value =
        !joined.empty() &&
        std::any_of(command.options.begin(), command.options.end(), [&](const CommandOption& option) {
          return !option.optional_value.empty() && word == option.optional_value && joined.back() == flag_of(option);
        });
    if (is_value) {
      joined.back() += '=' + word;
    } else {
      joined.push_back(word);
    }
  }
  return joined;
}

/// Parses the command line of one process.
class Parser {
 public:
  Parser(std::span<const Command> commands, std::span<const std::string> arguments)
      : commands_(commands),
        arguments_(with_joined_values(commands.front(), arguments)),
        app_(fmt::format("{}\n{}", commands.front().description, kPrecedence), kProgram) {
    app_.footer(kFooter);
    app_.allow_extras();
    app_.require_subcommand(0, 1);
    app_.set_version_flag("--version", version_text());
    app_.get_formatter()->column_width(32);
    app_.get_formatter()->label("SUBCOMMAND", "COMMAND");
    for (const Command& command : commands)
      named_.push_back(app_.add_subcommand(command.name, command.description)->group("Commands"));
    named_.front()->fallthrough()->set_help_flag();  // its options are the program's own
    add_options(requested_command());
  }

  CommandLine parse() {
    CommandLine line;
    try {
      app_.parse(std::vector<std::string>(arguments_.rbegin(), arguments_.rend()));  // CLI11 takes them last to first
    } catch (const CLI::CallForHelp&) {
      line.answer = help();
      return line;
    } catch (const CLI::CallForVersion& version) {
      line.answer = version.what();
      return line;
    } catch (const CLI::ParseError& error) {
      refuse_misplaced_command();
      if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr) refuse_missing_value();
      refuse(error.what());
    }
    refuse_misplaced_command();
    line.command = command();
    line.values = values();
    return line;
  }

 private:
  /// The command that the first word names, which is the only place for it; otherwise the default command.
  [[nodiscard]] std::size_t requested_command() const {
    const auto named = std::find_if(commands_.begin(), commands_.end(), [&](const Command& command) {
      return !arguments_.empty() && command.name == arguments_.front();
    });
    return named == commands_.end() ? 0 : static_cast<std::size_t>(named - commands_.begin());
  }

  /// Called for the requested command only, because CLI11 compares each new option with all others of its command.
  void add_options(std::size_t command) {
    for (const CommandOption& option : commands_[command].options)
      add_option(option, command == 0 ? app_ : *named_[command], found_[option.name]);
  }

  [[nodiscard]] std::vector<CLI::App*>::const_iterator named_command() const {
    return std::find_if(named_.begin(), named_.end(), [](const CLI::App* app) { return app->parsed(); });
  }
  [[nodiscard]] std::size_t command() const {
    return named_command() == named_.end() ? 0 : static_cast<std::size_t>(named_command() - named_.begin());
  }
  [[nodiscard]] std::string usage_name() const {
    return command() == 0 ? kProgram : fmt::format("{} {}", kProgram, commands_[command()].name);
  }

  /// CLI11 marks a negated flag with "{false}", which is not part of the flag.
  [[nodiscard]] std::string help() const {
    constexpr std::string_view kMark = "{false}";
    const CLI::App* const app = command() == 0 ? &app_ : named_[command()];
    std::string text = app_.get_formatter()->make_help(app, usage_name(), CLI::AppFormatMode::Normal);
    for (std::size_t at = 0; (at = text.find(kMark, at)) != std::string::npos;)
      text.replace(at, kMark.size(), kMark.size(), ' ');
    return text;
  }

  [[noreturn]] void refuse(const std::string& message) const {
    throw UsageError(fmt::format("{} (see {} --help)", message, usage_name()));
  }

  /// A command's name comes first; anything before it belongs to the default command.
  void refuse_misplaced_command() const {
    const std::string& name = commands_[command()].name;
    if (command() != 0 && arguments_.front() != name) refuse_word(name);
  }

  [[noreturn]] void refuse_without_value(const CommandOption& option, const std::string& where) const {
    const std::string expects = option.expects.empty() ? "" : fmt::format(", {}", option.expects);
    refuse(fmt::format("{} needs a value{}: {}{}", flag_of(option), where, option.placeholder, expects));
  }

  /// CLI11 found no value for the last word.
  void refuse_missing_value() const {
    const std::string flag = arguments_.back().substr(0, arguments_.back().find('='));
    for (const CommandOption& option : commands_[command()].options)
      if (flag == flag_of(option) || (!option.letter.empty() && flag == "-" + option.letter))
        refuse_without_value(option, "");
  }

  [[noreturn]] void refuse_word(const std::string& word) const {
    std::vector<std::string> names;
    if (word.starts_with("-")) {
      for (const CommandOption& option : commands_[command()].options) {
        names.push_back(flag_of(option));
        if (!option.negation.empty()) names.push_back(option.negation);
      }
      const std::string flag = word.substr(0, word.find('='));
      refuse(fmt::format("unknown option {}{}", flag, did_you_mean(flag, names)));
    }
    for (const Command& each : commands_) names.push_back(each.name);
    const bool is_command = named_command() == named_.end() && word == arguments_.front();
    const std::string meant = is_command ? did_you_mean(word, names) : "";
    if (!meant.empty()) refuse(fmt::format("unknown command '{}'{}", word, meant));
    refuse(fmt::format("unexpected argument '{}'{}", word, command() == 0 ? "; every setting is a flag" : ""));
  }

  /// Recent versions of CLI11 read --COMMAND.OPTION as an option of the command.
  [[nodiscard]] bool is_dotted(const std::string& word) const {
    return std::any_of(commands_.begin(), commands_.end(),
                       [&](const Command& command) { return word.starts_with(fmt::format("--{}.", command.name)); });
  }

  [[nodiscard]] FlagValues values() {
    const Command& requested = commands_[command()];
    for (const CommandOption& option : requested.options)
      for (const std::string& value : found_[option.name])
        if (option.kind == CommandOption::Kind::value && value.starts_with("--"))
          refuse_without_value(option, fmt::format(" before {}", value));
    const CLI::App& app = command() == 0 ? app_ : *named_[command()];
    for (const std::string& word : app.remaining())
      if (word != "--") refuse_word(word);
    for (const std::string& word : arguments_)
      if (is_dotted(word)) refuse_word(word);
    FlagValues values;
    for (const CommandOption& option : requested.options) {
      std::vector<std::string>& given = found_[option.name];
      if (option.kind == CommandOption::Kind::arguments) {
        for (const std::string& value : given) values[option.name] += value + kArgumentEnd;
        continue;
      }
      if (given.size() > 1) refuse(fmt::format("{} is given {} times; keep one", flag_of(option), given.size()));
      if (!given.empty()) values[option.name] = std::move(given.front());
    }
    return values;
  }

  std::span<const Command> commands_;
  std::vector<std::string> arguments_;
  CLI::App app_;
  std::vector<CLI::App*> named_;  ///< one for each command
  Found found_;                   ///< of the requested command
};

}  // namespace

CommandOption option_of(const Setting& row) {
  const std::string otherwise = row.show(Settings{});
  const bool starts_off = row.kind == ValueKind::toggle && row.negation.empty();
  std::string help = row.help;
  if (!starts_off && !otherwise.empty() && row.name != "steps") help += fmt::format(" [{}]", otherwise);
  if (!row.environment.empty()) help += fmt::format(" ({})", row.environment);
  return {.kind = row.kind == ValueKind::toggle ? CommandOption::Kind::toggle : CommandOption::Kind::value,
          .name = std::string(row.name),
          .placeholder = row.placeholder,
          .help = std::move(help),
          .group = std::string(row.group),
          .expects = row.kind == ValueKind::choice ? "" : row.expects,  // the placeholder lists the values
          .negation = std::string(row.negation),
          .optional_value = std::string(row.optional_value)};
}

Command training_command() {
  Command command{
      .name = "train",
      .description = "Trains transformers on Apple's Neural Engine through MIL, or on the CPU with the same kernels.",
      .options = {}};
  for (const Setting& row : settings_table()) command.options.push_back(option_of(row));
  return command;
}

CommandLine parse_command_line(std::span<const Command> commands, std::span<const std::string> arguments) {
  return Parser(commands, arguments).parse();
}

}  // namespace ane::cli
