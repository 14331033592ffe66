#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "ane/explore/experiments.h"
#include "ane/math/random.h"
#include "ane/train/checkpoint.h"

#include "app/persona_programs.h"
#include "app/processes.h"
#include "app/program.h"
#include "app/small_run.h"
#include "app/telemetry_records.h"
#include "support/catch.h"
#include "support/environment_number.h"
#include "support/sanitized.h"

// Runs whose kernels are compiled by workers.

#ifdef ANE_TRAIN_STANDIN

using namespace cli_test;

namespace {

using Clock = std::chrono::steady_clock;

const Words kBaked = with(kSmall, "--device", "ane") + Words{"--weights", "baked", "--telemetry", "t.jsonl"};
const Words kInWorkers = {"--compile-in", "worker"};

/// A run in a directory of its own, with the temporary directory and the cache of a Mac.
struct WorkersHome {
  [[nodiscard]] Words environment(const Words& more = {}) const {
    return Words{"STANDIN_HOME=" + (folder / "home"), "STANDIN_THREADS=1"} + more;
  }
  [[nodiscard]] Result run(const Words& settings, const Words& more = {}) const {
    return Program(settings, environment(more), folder.path(), ANE_TRAIN_STANDIN).wait();
  }
  [[nodiscard]] std::ptrdiff_t cached() const { return entries_in(folder / "home-cache"); }
  [[nodiscard]] std::ptrdiff_t programs() const { return entries_in(folder / "home"); }  ///< directories and records
  [[nodiscard]] std::vector<nlohmann::json> records(const std::string& type) const {
    return telemetry_records(folder / "t.jsonl", type);
  }

  Folder folder;
};

}  // namespace

TEST_CASE("with workers a run never restarts, and its parameters have the same bits", "[app][workers]") {
  const std::string weights = GENERATE("baked", "pipeline", "merged", "dynamic");
  Words settings = kBaked + Words{"--steps", "40", "--checkpoint-dir", "c"};
  if (weights == "pipeline") settings.emplace_back("--pipeline");
  if (weights == "merged") settings = settings + Words{"--plan", "merged", "--compile-workers", "1"};
  if (weights == "dynamic") settings = with(settings, "--weights", "dynamic");
  const WorkersHome process;
  const WorkersHome worker;
  const Result plain = process.run(settings, {"ANE_MAX_COMPILES=20"});
  const Result result = worker.run(settings + kInWorkers, {"ANE_MAX_COMPILES=20"});
  CAPTURE(weights, plain.out, plain.err, result.out, result.err);
  REQUIRE(plain.code == 0);
  REQUIRE(result.code == 0);
  CHECK(count(result.out, "[exec() restart") == 0);
  CHECK(count(result.err, "warning") == 0);
  const std::string file = "c/step-00000040/model.safetensors";
  REQUIRE_FALSE(read_file(process.folder / file).empty());
  CHECK(read_file(process.folder / file) == read_file(worker.folder / file));
  CHECK(worker.cached() == 0);
  CHECK(worker.programs() == 0);
  const nlohmann::json end = worker.records("end").at(0);
  CHECK(end["compiles"] == 0);
  CHECK(end["restarts"] == 0);
  CHECK(end["compile_ms"] > 0);
  CHECK(process.records("end").at(0)["worker_compiles"] == 0);
  if (weights != "dynamic") {
    CHECK(process.records("end").at(0)["restarts"] > 0);
    CHECK(end["worker_compiles"] > 4 * 20);
  }
  CHECK_THAT(result.out, ANE_CONTAINS(fmt::format("{} by workers (", end["worker_compiles"].get<int>())));
  CHECK(worker.records("run").at(0)["max_compiles"].is_null());
}

TEST_CASE("many updates by workers leave nothing in the system's cache", "[app][workers][cache]") {
  const WorkersHome home;
  const Result result =
      home.run(with(kBaked, "--accum-steps", "1") + kInWorkers + Words{"--steps", kSanitized ? "75" : "300"});
  CAPTURE(result.out, result.err);
  REQUIRE(result.code == 0);
  CHECK(home.cached() == 0);
  CHECK(home.programs() == 0);
}

TEST_CASE("a run continues if its workers crash, and says so", "[app][workers]") {
  const auto [fault, replaced] = GENERATE(
      table<std::string, std::string>({{"STANDIN_CRASH=compile:4", "; 0 program(s) were compiled by this process"},
                                       {"STANDIN_CRASH=compile:1", "program(s) were compiled by this process"}}));
  const WorkersHome plain;
  const WorkersHome home;
  const Words settings = kBaked + Words{"--steps", "12", "--checkpoint-dir", "c"};
  REQUIRE(plain.run(settings).code == 0);
  const Result result = home.run(settings + kInWorkers + Words{"--compile-workers", "1"},
                                 {fault, "STANDIN_FAULTS_IN=workers", "ANE_MAX_COMPILES=12"});
  CAPTURE(fault, result.out, result.err);
  REQUIRE(result.code == 0);
  CHECK_THAT(result.err, ANE_CONTAINS("compile worker(s) failed and were replaced") && ANE_CONTAINS(replaced) &&
                             ANE_CONTAINS("was killed by signal 6"));
  const std::string file = "c/step-00000012/model.safetensors";
  CHECK(read_file(plain.folder / file) == read_file(home.folder / file));
  CHECK(home.cached() == 0);
  CHECK(home.programs() == 0);
  const nlohmann::json end = home.records("end").at(0);
  CHECK((end["compiles"] > 0) == (fault == "STANDIN_CRASH=compile:1"));
  CHECK((end["restarts"] > 0) == (fault == "STANDIN_CRASH=compile:1"));  // when its budget is exhausted
}

TEST_CASE("a worker's refusal is reported like that of the run's own compiler", "[app][workers]") {
  const WorkersHome home;
  const Result result = home.run(kBaked + kInWorkers + Words{"--steps", "4"}, {"STANDIN_REFUSE=softmax"});
  CAPTURE(result.out, result.err);
  CHECK(result.code == 4);
  CHECK_THAT(result.err, ANE_CONTAINS("did not compile: the ANE's compiler refused the program"));
  CHECK(home.cached() == 0);
}

TEST_CASE("a signal during a worker's compile ends the worker and saves the run", "[app][workers][signal]") {
  const WorkersHome home;
  // A worker that hangs is not given up for minutes.
  const std::string fault = GENERATE("STANDIN_HANG=compile:14", "STANDIN_COMPILE_MS=50");
  Program program(kBaked + kInWorkers +
                      Words{"--steps", "100000", "--log-every", "1", "--compile-workers", "1", "--checkpoint-dir", "c"},
                  home.environment({fault}), home.folder.path(), ANE_TRAIN_STANDIN);
  REQUIRE(program.wait_for("step 4 "));  // two updates
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  const std::vector<pid_t> workers = children_of(program.pid());
  CHECK_FALSE(workers.empty());
  program.send(SIGTERM);
  const Result result = program.wait();
  CAPTURE(fault, result.out, result.err);
  CHECK(result.code == 128 + SIGTERM);
  CHECK_THAT(result.err, ANE_CONTAINS("stopped by signal 15") && !ANE_CONTAINS("warning"));
  CHECK(ane::train::checkpoints_in(home.folder / "c").size() == 1);
  CHECK(are_gone(workers));
  CHECK(home.cached() == 0);
  CHECK(home.programs() == 0);
}

TEST_CASE("auto compiles in workers where the exploration found that this works", "[app][workers][adaptation]") {
  const Folder folder;
  const Words automatic = kBaked + Words{"--steps", "12", "--compile-in", "auto", "--max-compiles", "12"};
  const Result before = on_persona(folder, "m4", automatic);
  CAPTURE(before.out, before.err);
  REQUIRE(before.code == 0);
  CHECK(count(before.out, "[exec() restart") > 0);
  REQUIRE(on_persona(folder, "m4", {"doctor", "--explore"}).code == 0);
  // The exploration's own answer depends on how busy this machine is: a compile costs the stand-in nothing here.
  const std::string findings = folder / "cache/ane-train/engine.json";
  nlohmann::json engine = nlohmann::json::parse(read_file(findings));
  nlohmann::json& cached_load = engine["findings"].at(std::string(ane::explore::kCachedLoad));
  cached_load = {{"verdict", "loaded"}, {"value", 3}, {"words", "a program of an earlier process loads in 3.0 ms"}};
  write_file(findings, engine.dump());
  const Result after = on_persona(folder, "m4", automatic);
  CAPTURE(after.out, after.err);
  REQUIRE(after.code == 0);
  CHECK(count(after.out, "[exec() restart") == 0);
  CHECK(count(after.err, "Adapted: place of compiles worker: a program of an earlier process loads in ") == 1);
  CHECK_THAT(read_file(folder / "t.jsonl"), ANE_CONTAINS(R"("what":"place of compiles","value":"worker")"));
  const Result dry = on_persona(folder, "m4", automatic + Words{"--dry-run"});
  CHECK_THAT(dry.out, ANE_CONTAINS("Adapted: place of compiles worker") &&
                          ANE_CONTAINS("Restarts: none, because workers compile (2 at a time)"));
  const Result explicitly = on_persona(folder, "m4", with(automatic, "--compile-in", "process"));
  CHECK(count(explicitly.out, "[exec() restart") > 0);
  CHECK_THAT(explicitly.err, !ANE_CONTAINS("place of compiles"));
}

TEST_CASE("workers cannot make an engine hold more programs than it can", "[app][workers]") {
  const WorkersHome home;
  const Words deep = with(kBaked, "--layers", "26") + kInWorkers + Words{"--steps", "4"};
  const Result result = home.run(deep);
  CAPTURE(result.out, result.err);
  CHECK(result.code == 2);
  CHECK_THAT(result.err, ANE_CONTAINS("one update needs 131 programs, but the ANE loads at most 127 at once"));
}

TEST_CASE("on the host there are no workers", "[app][workers]") {
  const WorkersHome home;
  const Result result = home.run(with(kBaked, "--device", "host") + kInWorkers + Words{"--steps", "4"});
  CAPTURE(result.out, result.err);
  REQUIRE(result.code == 0);
  CHECK_THAT(result.out, !ANE_CONTAINS("by workers"));
  CHECK(home.records("end").at(0)["worker_compiles"] == 0);
}

// Kills the trainer or one of its workers, and resumes.
TEST_CASE("a run whose trainer and workers are killed repeatedly ends with the same parameters",
          "[app][workers][kill]") {
  const std::uint64_t wanted = environment_number("ANE_KILLS", kSanitized ? 4 : 12);
  const ane::math::CounterRandom random(environment_number("ANE_KILL_SEED", 1), 3);
  constexpr std::uint64_t kKillsOfARun = 10;
  const Words run =
      kBaked + kInWorkers +
      Words{
          "--steps", "60", "--log-every", "2", "--checkpoint-dir", "c", "--checkpoint-every", "3", "--keep-checkpoints",
          "2"};
  const std::string last = "c/step-00000060/";
  const Words slowed = {"STANDIN_COMPILE_MS=2"};
  const WorkersHome undisturbed;
  const auto start = Clock::now();
  REQUIRE(undisturbed.run(run, slowed).code == 0);
  const double run_ms = std::chrono::duration<double, std::milli>(Clock::now() - start).count();

  std::uint64_t drawn = 0;
  std::uint64_t kills = 0;
  int of_workers = 0;
  while (kills < wanted) {
    const WorkersHome home;
    const std::uint64_t most = std::min(kills + kKillsOfARun, wanted);
    for (bool ended = false; !ended;) {
      const bool resumes = has_checkpoint(home.folder / "c");
      Program program(run + (resumes ? Words{"--resume"} : Words{}), home.environment(slowed), home.folder.path(),
                      ANE_TRAIN_STANDIN);
      std::vector<pid_t> workers;
      while (kills < most) {
        std::this_thread::sleep_for(
            std::chrono::duration<double, std::milli>(random.uniform(drawn++) * run_ms * (resumes ? 0.3 : 0.6)));
        workers = children_of(program.pid());
        if (program.has_ended()) break;
        ++kills;
        if (!workers.empty() && random.below(2, drawn++) == 0) {
          ++of_workers;
          ::kill(workers[random.below(workers.size(), drawn++)], SIGKILL);  // the run continues
        } else {
          program.send(SIGKILL);
          break;
        }
      }
      const Result result = program.wait();
      CAPTURE(kills, result.out, result.err);
      REQUIRE((result.code == 0 || result.code == 128 + SIGKILL));
      CHECK(wait_until([&] { return are_gone(workers); }));  // those of a killed trainer end by themselves
      ended = result.code == 0;
    }
    for (const std::string name : {"model", "first_moment", "second_moment"}) {
      const std::string file = last + name + ".safetensors";
      CHECK(read_file(home.folder / file) == read_file(undisturbed.folder / file));
    }
    CHECK(home.cached() == 0);
    CHECK(home.programs() == 0);
  }
  WARN(fmt::format("{} kills, {} of them of workers", kills, of_workers));
}

#endif
