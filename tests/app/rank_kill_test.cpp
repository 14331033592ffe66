#if defined(ANE_MPIRUN) && defined(__linux__)

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "ane/math/random.h"

#include "app/program.h"
#include "app/rank_programs.h"
#include "app/small_run.h"
#include "app/telemetry_records.h"
#include "support/catch.h"
#include "support/environment_number.h"
#include "support/sanitized.h"

namespace {

using namespace cli_test;
namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kKillsOfRanks = 5;  // after that it may finish
const std::string kRanksCheckpoint = "step-00000090";

const Words kKilledRanks = with(kSmall, "--accum-steps", "3") +
                           Words{"--steps",     "90",      "--checkpoint-dir",   "c", "--checkpoint-every", "2",
                                 "--telemetry", "t.jsonl", "--keep-checkpoints", "2"};

/// Kills a random process of a run at a random time.
class RankKiller {
 public:
  RankKiller(std::uint64_t seed, double run_ms) : random_(seed, 0), run_ms_(run_ms) {}

  /// False if the run ended first.
  bool kill(Program& program, const fs::path& folder) {
    const auto instant = Clock::now() + std::chrono::duration<double, std::milli>(random_.uniform(drawn_++) * run_ms_);
    while (Clock::now() < instant)
      if (program.has_ended()) return false;
    const std::optional<pid_t> victim = choose(program, folder);
    if (!victim || program.has_ended() || ::kill(*victim, SIGKILL) != 0) return false;
    const auto begin = Clock::now();
    ++kills;
    code = program.wait().code;
    CHECK(wait_until([&] { return processes_in(folder).empty(); }));
    longest_s = std::max(longest_s, std::chrono::duration<double>(Clock::now() - begin).count());
    return true;
  }

  std::uint64_t draw(std::uint64_t bound) { return random_.below(bound, drawn_++); }

  std::uint64_t kills = 0;
  std::uint64_t of_trainers = 0, of_rank_processes = 0, of_mpirun = 0;
  int code = 0;          ///< what the last killed run ended with
  double longest_s = 0;  ///< from a kill until no process was left

 private:
  std::optional<pid_t> choose(const Program& program, const fs::path& folder) {
    const std::uint64_t kind = draw(3);
    if (kind == 2) {
      ++of_mpirun;
      return program.pid();
    }
    const std::vector<pid_t> processes = processes_in(folder, kind == 0 ? RankRole::trainer : RankRole::rank_process);
    if (processes.empty()) return std::nullopt;  // not started yet
    ++(kind == 0 ? of_trainers : of_rank_processes);
    return processes[draw(processes.size())];
  }

  ane::math::CounterRandom random_;
  std::uint64_t drawn_ = 0;
  double run_ms_;
};

}  // namespace

TEST_CASE("whichever process of a run is killed, all end, and the run resumes with the same bits",
          "[app][ranks][kill_ranks]") {
  const std::uint64_t wanted = environment_number("ANE_KILLS", kSanitized ? 2 : 3);
  const std::uint64_t seed = environment_number("ANE_KILL_SEED", 1);
  CAPTURE(seed);
  const Folder undisturbed;
  const auto start = Clock::now();
  for (const int ranks : {2, 3}) {
    const fs::path folder = undisturbed / std::to_string(ranks);
    fs::create_directory(folder);
    REQUIRE(run_ranks(ranks, kKilledRanks, {"ANE_MAX_COMPILES=16"}, folder).code == 0);
  }
  RankKiller killer(seed, std::chrono::duration<double, std::milli>(Clock::now() - start).count() / 2);
  while (killer.kills < wanted) {
    const Folder folder;
    const int ranks = 2 + static_cast<int>(killer.draw(2));
    const std::vector<std::string> budgets = {"6", "16", "1000"};  // restarts: every update, every third update, none
    const Words environment = {"ANE_MAX_COMPILES=" + budgets[killer.draw(budgets.size())]};
    const std::uint64_t most = std::min(killer.kills + kKillsOfRanks, wanted);
    for (bool ended = false; !ended;) {
      Words arguments = kKilledRanks;
      if (has_checkpoint(folder / "c")) arguments.emplace_back("--resume");
      Program program(launched(ranks, arguments), launcher_variables(folder.path()) + environment, folder.path(),
                      ANE_MPIRUN);
      if (killer.kills < most && killer.kill(program, folder.path())) {
        CHECK(killer.code != 0);
        continue;
      }
      const Result result = program.wait();
      CAPTURE(killer.kills, ranks, environment, result.out, result.err);
      REQUIRE(result.code == 0);
      CHECK(result.err.find("damaged") == std::string::npos);
      ended = true;
    }
    CAPTURE(killer.kills, ranks, environment);
    for (const char* file : {"model.safetensors", "first_moment.safetensors", "second_moment.safetensors"}) {
      const fs::path path = fs::path("c") / kRanksCheckpoint / file;
      CHECK(read_file(folder.path() / path) == read_file(undisturbed.path() / std::to_string(ranks) / path));
    }
    check_telemetry(folder.path() / "t.jsonl");
  }
  WARN(fmt::format("{} kills: {} of trainers, {} of rank processes, {} of mpirun; the others ended within {:.1f} s",
                   killer.kills, killer.of_trainers, killer.of_rank_processes, killer.of_mpirun, killer.longest_s));
}

#endif
