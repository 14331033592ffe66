#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

#include "app/persona_programs.h"
#include "app/processes.h"
#include "app/small_run.h"
#include "support/catch.h"

#ifdef ANE_TRAIN_STANDIN

using namespace cli_test;

TEST_CASE("doctor --explore writes what it finds, and --show prints it", "[app][explore]") {
  const Folder folder;
  CHECK(on_persona(folder, "m4", {"doctor", "--show"}).code == 3);
  const Result explored = on_persona(folder, "m4", {"doctor", "--explore", "--quick"});
  CAPTURE(explored.out, explored.err);
  REQUIRE(explored.code == 0);
  CHECK_THAT(explored.out, ANE_CONTAINS("  4/9 compile-limit: ") && ANE_CONTAINS("can compile 132 programs") &&
                               ANE_CONTAINS("Written to " + (folder / "cache/ane-train/engine.json")));
  const Result shown = on_persona(folder, "m4", {"doctor", "--show"});
  CHECK(shown.code == 0);
  CHECK(shown.out == read_file(folder / "cache/ane-train/engine.json"));
  CHECK_THAT(shown.out, ANE_CONTAINS("\"chip\": \"Apple M4\"") && !ANE_CONTAINS("\"idle\""));

  const Result other = on_persona(folder, "m1", {"doctor", "--show"});
  CHECK(other.code == 3);
  CHECK_THAT(other.err, ANE_CONTAINS("is ignored: it describes the chip 'Apple M4', but this is 'Apple M1'"));
}

TEST_CASE("an engine that runs nothing leaves no file", "[app][explore]") {
  const Folder folder;
  const Result result = on_persona(folder, "vm", {"doctor", "--explore", "--quick"});
  CAPTURE(result.out, result.err);
  CHECK(result.code == 4);
  CHECK_THAT(result.out, ANE_CONTAINS("ran none of the experiments"));
  CHECK_FALSE(std::filesystem::exists(folder / "cache/ane-train"));
}

TEST_CASE("a signal ends an exploration and its processes, and what was found is kept", "[app][explore]") {
  const Folder folder;
  Words environment = persona_variables(folder, "m4");
  environment.emplace_back("STANDIN_HANG=compile:30");
  Program program({"doctor", "--explore", "--quick"}, environment, folder.path(), ANE_TRAIN_STANDIN);
  REQUIRE(program.wait_for("  4/9 compile-limit: "));
  std::vector<pid_t> experiments;
  REQUIRE(wait_until([&] { return !(experiments = children_of(program.pid())).empty(); }));
  program.send(SIGTERM);
  const Result result = program.wait();
  CAPTURE(result.out, result.err);
  CHECK(result.code == 128 + SIGTERM);
  CHECK(are_gone(experiments));
  CHECK_THAT(read_file(folder / "cache/ane-train/engine.json"),
             ANE_CONTAINS("\"failures\"") && !ANE_CONTAINS("\"compile-limit\""));
}

TEST_CASE("options of an exploration that make no sense are refused", "[app][explore]") {
  const Folder folder;
  CHECK(on_persona(folder, "m4", {"doctor", "--quick"}).code == 2);
  CHECK(on_persona(folder, "m4", {"doctor", "--explore", "--show"}).code == 2);
}

#endif

#ifndef __APPLE__
TEST_CASE("without an engine there is nothing to explore", "[app][explore]") {
  const cli_test::Result result = cli_test::run({"doctor", "--explore"});
  CHECK(result.code == 4);
  CHECK_THAT(result.err, ANE_CONTAINS("there is nothing to explore"));
}
#endif
