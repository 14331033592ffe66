#include "ane/cli/settings.h"

#include <string>
#include <vector>

#include "ane/app/doctor_command.h"
#include "ane/app/mil_command.h"
#include "ane/app/restart_context.h"
#include "ane/app/tokenize_command.h"
#include "ane/cli/command_line.h"
#include "ane/core/error.h"

#include "fuzz/support.h"

namespace fuzz {
namespace {

using namespace ane;

/// Lines; those that begin with "ANE_" are variables, the others words of the command line. Each ends at a NUL, which
/// neither can contain.
struct Words {
  std::vector<std::string> arguments;
  std::vector<std::string> environment;
};

const std::vector<cli::Command> kCommands = {cli::training_command(), app::mil_options(), app::tokenize_options(),
                                             app::doctor_options()};

Words words_of(std::string_view text) {
  Words words;
  while (!text.empty()) {
    std::string line(text.substr(0, text.find('\n')));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    line.resize(std::min(line.find('\0'), line.size()));
    (line.starts_with("ANE_") ? words.environment : words.arguments).push_back(std::move(line));
  }
  return words;
}

}  // namespace

void settings(Bytes bytes) {
  const std::string_view text = text_of(bytes);
  const Words words = words_of(text);
  may_refuse<UsageError>([&] {
    const cli::CommandLine line = cli::parse_command_line(kCommands, words.arguments);
    if (line.answer || line.command != 0 || line.values.contains("config")) return;
    const cli::LoadedSettings loaded = cli::load_settings(line.values, words.environment);
    const cli::FlagValues frozen = cli::freeze(loaded.values);
    require(cli::freeze(cli::thaw(frozen)) == frozen, "settings survive a restart");
    for (const double beta : {loaded.values.optimizer.beta1, loaded.values.optimizer.beta2})
      require(static_cast<float>(beta) < 1, "a moment decays, in fp32");
  });
  may_refuse<UsageError>([&] { static_cast<void>(app::find_restart_context(words.environment)); });
  may_refuse<UsageError>([&] {
    const std::string variable = std::string(app::kSettingsVariable) + "=" + std::string(text);
    static_cast<void>(
        app::find_restart_context(std::vector<std::string>{std::string(train::kStateVariable) + "=3:1", variable}));
  });
}

}  // namespace fuzz
