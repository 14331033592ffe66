#include "ane/app/commands.h"

#include <algorithm>
#include <csignal>
#include <functional>
#include <iostream>
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
#include "ane/device/apple/compile_worker.h"

namespace ane::app {
namespace {

/// The process of a worker that compiles for a training run. Returns the exit code.
int serve_trainer(unsigned qos) {
  std::signal(SIGPIPE, SIG_IGN);  // a trainer that has ended must not end this process before it has purged a program
  cli::Terminal terminal;
  device::apple::compile_for_trainer(qos, std::cin, [&](const std::string& answer) { terminal.print(answer); });
  return 0;
}

struct CommandRow {
  cli::Command options;
  std::function<int(const cli::FlagValues&)> run;  ///< returns the exit code
};

}  // namespace

int run_command(const Invocation& invocation) {
  if (const std::optional<unsigned> qos = device::apple::find_worker_request(invocation.environment))
    return serve_trainer(*qos);
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
  commands.reserve(rows.size());
  for (const CommandRow& row : rows) commands.push_back(row.options);
  const std::span words(invocation.arguments);
  const cli::CommandLine line =
      cli::parse_command_line(commands, words.subspan(std::min<std::size_t>(1, words.size())));
  if (!line.answer) return rows[line.command].run(line.values);
  cli::Terminal().print(line.answer->substr(0, line.answer->find_last_not_of('\n') + 1));
  return 0;
}

}  // namespace ane::app
