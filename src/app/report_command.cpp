#include "ane/app/report_command.h"

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <iterator>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include <fmt/format.h>

#include "ane/app/option_values.h"
#include "ane/cli/terminal.h"
#include "ane/cli/text.h"
#include "ane/core/error.h"
#include "ane/core/file.h"
#include "ane/report/page.h"
#include "ane/report/recorded_run.h"

namespace ane::app {
namespace {

namespace fs = std::filesystem;

constexpr const char* kRuns = "RUN.jsonl";

}  // namespace

cli::Command report_options() {
  using Kind = cli::CommandOption::Kind;
  return {"report",
          "Makes a page with charts from the telemetry of runs.",
          {{Kind::arguments, kRuns, "", "files that --telemetry wrote; several are drawn over each other"},
           {.kind = Kind::value,
            .name = "out",
            .placeholder = "FILE",
            .help = "the page to write [report.html]",
            .letter = "o"}}};
}

std::string write_report(const std::vector<std::string>& telemetry, const fs::path& page) {
  std::vector<report::RecordedRun> runs;
  for (const std::string& file : telemetry) {
    std::vector<report::RecordedRun> some = report::read_runs(file);
    std::ranges::move(some, std::back_inserter(runs));
  }
  const std::string text = report::make_page(runs);
  write_file_atomically(page, std::as_bytes(std::span(text)));
  return fmt::format("{}: {} {}, {}", page.string(), runs.size(), runs.size() == 1 ? "run" : "runs",
                     cli::human_bytes(static_cast<double>(text.size())));
}

int report_command(const cli::FlagValues& given) {
  const OptionValues values(given);
  const std::vector<std::string> files = values.list(kRuns);
  if (files.empty()) throw UsageError("report needs the telemetry of at least one run: ane-train report RUN.jsonl");
  const std::string wanted = values.text("out");
  const fs::path page = wanted.empty() ? "report.html" : wanted;
  for (const std::string& file : files) {
    std::error_code ignored;
    if (fs::equivalent(file, page, ignored))
      throw UsageError(fmt::format("--out: the page would replace {}, which is one of the runs", file));
  }
  cli::Terminal().info(write_report(files, page));
  return 0;
}

}  // namespace ane::app
