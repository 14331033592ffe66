#include "ane/app/commands.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "ane/app/doctor_command.h"
#include "ane/app/eval_command.h"
#include "ane/app/explore_command.h"
#include "ane/app/export_command.h"
#include "ane/app/mil_command.h"
#include "ane/app/plan_command.h"
#include "ane/app/report_command.h"
#include "ane/app/restart_context.h"
#include "ane/app/sample_command.h"
#include "ane/app/tokenize_command.h"
#include "ane/app/train_command.h"
#include "ane/cli/command_line.h"
#include "ane/cli/terminal.h"

namespace ane::app {
namespace {

struct CommandRow {
  cli::Command options;
  std::function<int(const cli::FlagValues&)> run;  ///< returns the exit code
};

}  // namespace

int run_command(const Invocation& invocation) {
  if (const std::optional<explore::StageRequest> stage = explore::find_stage_request(invocation.environment))
    return experiment_stage(*stage, invocation);
  if (std::optional<RestartContext> before = find_restart_context(invocation.environment))
    return continue_training(*std::move(before), invocation);

  const std::vector<CommandRow> rows = {
      {cli::training_command(), [&](const cli::FlagValues& flags) { return train_command(flags, invocation); }},
      {sample_options(), [&](const cli::FlagValues& flags) { return sample_command(flags, invocation); }},
      {eval_options(), [&](const cli::FlagValues& flags) { return eval_command(flags, invocation); }},
      {export_options(), export_command},
      {mil_options(), mil_command},
      {tokenize_options(), tokenize_command},
      {plan_options(), [&](const cli::FlagValues& flags) { return plan_command(flags, invocation); }},
      {report_options(), report_command},
      {doctor_options(), [&](const cli::FlagValues& flags) { return doctor_command(flags, invocation); }}};
  std::vector<cli::Command> commands;
  for (const CommandRow& row : rows) commands.push_back(row.options);
  const std::span words(invocation.arguments);
  const cli::CommandLine line =
      cli::parse_command_line(commands, words.subspan(std::min<std::size_t>(1, words.size())));
  if (!line.answer) return rows[line.command].run(line.values);
  cli::Terminal().print(line.answer->substr(0, line.answer->find_last_not_of('\n') + 1));
  return 0;
}

}  // namespace ane::app
