#include <filesystem>
#include <string>

#include "app/program.h"
#include "app/small_run.h"
#include "support/catch.h"
#include "support/paths.h"

namespace {

using namespace cli_test;

}  // namespace

TEST_CASE("report draws the telemetry of a run", "[app][report]") {
  const Folder folder;
  REQUIRE(run(kSmall + Words{"--steps", "4", "--telemetry", "run.jsonl"}, {}, folder.path()).code == 0);
  const Result made = run({"report", "run.jsonl"}, {}, folder.path());
  CAPTURE(made.out, made.err);
  CHECK(made.code == 0);
  CHECK_THAT(made.err, ANE_CONTAINS("report.html: 1 run, "));
  CHECK_THAT(read_file(folder / "report.html"), ANE_CONTAINS("\"file\":\"run.jsonl\"") && ANE_CONTAINS("finished"));
  REQUIRE(run({"report", "run.jsonl", "run.jsonl", "-o", "two.html"}, {}, folder.path()).code == 0);
  CHECK(count(read_file(folder / "two.html"), "\"file\":\"run.jsonl\"") == 2);
}

TEST_CASE("a run writes its page at the end", "[app][report]") {
  const Folder folder;
  const Words training = kSmall + Words{"--steps", "4", "--report", "page.html"};
  CHECK(run(training, {}, folder.path()).code == 2);  // without telemetry there is nothing to draw
  const Result result = run(training + Words{"--telemetry", "run.jsonl"}, {}, folder.path());
  CAPTURE(result.err);
  CHECK(result.code == 0);
  CHECK_THAT(read_file(folder / "page.html"), ANE_CONTAINS("\"outcome\",\"finished\""));
  const Result itself =
      run(kSmall + Words{"--steps", "4", "--telemetry", "run.jsonl", "--report", "run.jsonl"}, {}, folder.path());
  CHECK(itself.code == 2);
  CHECK_THAT(itself.err, ANE_CONTAINS("--report") && ANE_CONTAINS("would overwrite"));
}

TEST_CASE("report refuses what it cannot draw and replaces no run", "[app][report]") {
  const Folder folder;
  CHECK(run({"report"}, {}, folder.path()).code == 2);
  const Result missing = run({"report", "run.jsonl"}, {}, folder.path());
  CHECK(missing.code == 3);
  CHECK_THAT(missing.err, ANE_CONTAINS("run.jsonl"));
  write_file(folder / "run.jsonl", "not telemetry\n");
  CHECK(run({"report", "run.jsonl"}, {}, folder.path()).code == 3);
  const Result itself = run({"report", "run.jsonl", "--out", "./run.jsonl"}, {}, folder.path());
  CHECK(itself.code == 2);
  CHECK(read_file(folder / "run.jsonl") == "not telemetry\n");
  CHECK_FALSE(std::filesystem::exists(folder / "report.html"));
}

TEST_CASE("a script makes a table of the telemetry", "[app][report]") {
  const std::string python = "/usr/bin/python3";
  if (!std::filesystem::exists(python)) {
    WARN("skipped: there is no Python here");
    return;
  }
  const Folder folder;
  REQUIRE(run(kSmall + Words{"--steps", "6", "--telemetry", "run.jsonl"}, {}, folder.path()).code == 0);
  const std::string script = (ane::test::source_dir() / "scripts/telemetry_to_csv.py").string();
  const auto table = [&](const Words& words) {
    return Program(Words{script} + words, {}, folder.path(), python).wait();
  };
  const Result updates = table({"run.jsonl"});
  CAPTURE(updates.out, updates.err);
  CHECK(updates.code == 0);
  CHECK(updates.out.starts_with("run,time,step,update,tokens,loss,lr,grad_norm,loss_scale,skipped\n1,"));
  CHECK(count(updates.out, "\n") == 4);
  CHECK_THAT(table({"run.jsonl", "--type", "run"}).out, ANE_CONTAINS("config.hidden_size"));
  CHECK(table({"run.jsonl", "--type", "nothing"}).code == 3);
  CHECK(table({"missing.jsonl"}).code == 3);
}
