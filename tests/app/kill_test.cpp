#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "ane/math/random.h"

#include "app/program.h"
#include "app/small_model.h"
#include "app/small_run.h"
#include "app/telemetry_records.h"
#include "support/catch.h"
#include "support/environment_number.h"
#include "support/sanitized.h"

namespace {

using namespace cli_test;
namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr int kKillsOfARun = 6;  // after that it may finish

const Words kKilledRun =  // two batch slots
    with(kSmall, "--threads", "2") +
    Words{"--log-every",        "2", "--steps",     "60",     "--checkpoint-dir", "c", "--checkpoint-every", "3",
          "--keep-checkpoints", "2", "--telemetry", "t.jsonl"};

struct KilledVariant {
  std::string name;
  Words settings;
  std::string parameters = "model";  ///< file of a checkpoint
};
/// Models of all families, an adapter and a partly frozen model; the last two start from `model`.
std::vector<KilledVariant> variants(const std::string& model) {
  return {{"llama", {}},
          {"qwen2", {"--family", "qwen2"}},
          {"qwen3", {"--family", "qwen3"}},
          {"lora", {"--model", model, "--lora", "2"}, "adapter_model"},
          {"freeze", {"--model", model, "--freeze", "*_proj.weight"}}};
}

bool is_writing(const fs::path& checkpoints) { return has_entry(checkpoints, ".partial-"); }

/// Whether it is between exec and the adoption of the state.
bool is_restarting(const std::string& out) {
  const std::size_t restart = out.rfind("[exec() restart");
  return restart != std::string::npos && out.find("[RESUMED", restart) == std::string::npos;
}

/// Random times: anywhere in the run, while a checkpoint is written, or between exec and the adoption of the state.
class Killer {
 public:
  Killer(std::uint64_t seed, double run_ms) : random_(seed, 0), run_ms_(run_ms) {}

  /// False if the program ended first.
  bool kill(Program& program, const fs::path& checkpoints) {
    const auto kind = draw(3);
    const double least_ms = uniform() * run_ms_;
    const double extra_ms = uniform() * 4;
    const auto start = Clock::now();
    const auto passed = [&](double ms) {
      return std::chrono::duration<double, std::milli>(Clock::now() - start).count() > ms;
    };
    const auto reached = [&] {
      if (!passed(kind == 0 ? least_ms : least_ms / 4)) return false;
      return kind == 0 || (kind == 1 ? is_writing(checkpoints) : is_restarting(program.out()));
    };
    while (!reached()) {
      if (program.has_ended()) return false;
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
    if (kind != 0) std::this_thread::sleep_for(std::chrono::duration<double, std::milli>(extra_ms));
    if (program.has_ended()) return false;
    program.send(SIGKILL);
    const Result result = program.wait();
    if (result.code != 128 + SIGKILL) return false;
    ++kills;
    if (is_writing(checkpoints)) ++while_writing;
    if (is_restarting(result.out)) ++while_restarting;
    return true;
  }

  std::uint64_t draw(std::uint64_t bound) { return random_.below(bound, drawn_++); }

  std::uint64_t kills = 0;
  std::uint64_t while_writing = 0;
  std::uint64_t while_restarting = 0;

 private:
  double uniform() { return random_.uniform(drawn_++); }

  ane::math::CounterRandom random_;
  std::uint64_t drawn_ = 0;
  double run_ms_;
};

}  // namespace

TEST_CASE("a repeatedly killed run ends with the same parameters", "[app][kill]") {
  const std::uint64_t wanted = environment_number("ANE_KILLS", kSanitized ? 5 : 20);
  const std::uint64_t seed = environment_number("ANE_KILL_SEED", 1);
  CAPTURE(seed);
  const std::string last = "c/step-00000060/";
  const Folder undisturbed;
  write_small_model(undisturbed / "model", one_layer_config(), "BF16");
  const std::vector<KilledVariant> all = variants(undisturbed / "model");
  const auto start = Clock::now();
  for (const KilledVariant& variant : all) {
    fs::create_directory(undisturbed / variant.name);
    REQUIRE(run(kKilledRun + variant.settings, {"ANE_MAX_COMPILES=16"}, undisturbed / variant.name).code == 0);
  }
  const double run_ms =
      std::chrono::duration<double, std::milli>(Clock::now() - start).count() / static_cast<double>(all.size());

  Killer killer(seed, run_ms);
  while (killer.kills < wanted) {
    const Folder folder;
    const fs::path checkpoints = folder / "c";
    const std::vector<std::string> budgets = {"6", "16", "1000"};  // restarts: every update, every third update, none
    const Words environment = {"ANE_MAX_COMPILES=" + budgets[killer.draw(budgets.size())]};
    const KilledVariant& variant = all[killer.draw(all.size())];
    const std::uint64_t most = killer.kills + kKillsOfARun;
    for (bool ended = false; !ended;) {
      Words arguments = kKilledRun + variant.settings;
      if (has_checkpoint(checkpoints)) arguments.emplace_back("--resume");
      Program program(arguments, environment, folder.path());
      if (killer.kills < std::min(most, wanted) && killer.kill(program, checkpoints)) continue;
      const Result result = program.wait();
      CAPTURE(killer.kills, result.out, result.err);
      REQUIRE(result.code == 0);
      CHECK(result.err.find("damaged") == std::string::npos);
      ended = true;
    }
    CAPTURE(killer.kills, variant.name, environment);
    for (const std::string& name : {variant.parameters, std::string("first_moment"), std::string("second_moment")}) {
      const std::string file = last + name + ".safetensors";
      CHECK(read_file(folder / file) == read_file(undisturbed / (variant.name + "/" + file)));
    }
    CHECK_FALSE(has_entry(checkpoints, ".partial-"));
    CHECK_FALSE(has_entry(checkpoints, ".old-"));
    check_telemetry(folder / "t.jsonl");
  }
  WARN(fmt::format("{} kills, {} of them while a checkpoint was written, {} between exec and the adopted state",
                   killer.kills, killer.while_writing, killer.while_restarting));
}
