#include <algorithm>
#include <array>
#include <cmath>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "ane/core/file.h"
#include "ane/distributed/rank_process.h"
#include "ane/math/random.h"

#include "app/program.h"
#include "app/small_model.h"
#include "app/small_run.h"
#include "support/catch.h"
#include "support/sanitized.h"

namespace {

using namespace cli_test;
namespace fs = std::filesystem;

const Words kRun =
    with(kSmall, "--accum-steps", "3") +
    Words{"--steps", "12", "--precision", "fp32", "--checkpoint-dir", "c", "--log-every", "1", "--output", "plain"};

#ifdef ANE_MPIRUN

/// Open MPI refuses root and more processes than cores without these; its own leaks are not ours.
const Words kLauncherVariables = {"OMPI_ALLOW_RUN_AS_ROOT=1",
                                  "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1",
                                  "OMPI_MCA_rmaps_base_oversubscribe=1",
                                  "OMPI_MCA_btl_vader_single_copy_mechanism=none",
                                  "OMPI_MCA_hwloc_base_binding_policy=none",
                                  "LSAN_OPTIONS=detect_leaks=0"};

Words launched(int ranks, const Words& arguments) {
  return Words{"-np", std::to_string(ranks), ANE_TRAIN_PROGRAM} + arguments;
}

Result run_ranks(int ranks, const Words& arguments, const Words& environment, const fs::path& folder) {
  return run(launched(ranks, arguments), kLauncherVariables + environment, folder, ANE_MPIRUN);
}

std::string parameters_in(const fs::path& folder, const std::string& checkpoint = "step-00000012",
                          const std::string& file = "model.safetensors") {
  return read_file(folder / "c" / checkpoint / file);
}

std::vector<float> floats_in(const std::string& safetensors) {
  std::uint64_t header = 0;
  std::memcpy(&header, safetensors.data(), sizeof(header));
  const std::string_view values = std::string_view(safetensors).substr(sizeof(header) + header);
  std::vector<float> result(values.size() / sizeof(float));
  std::memcpy(result.data(), values.data(), result.size() * sizeof(float));
  return result;
}

double relative_difference(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double difference = 0;
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference += std::pow(double{a[i]} - double{b[i]}, 2);
    sum += std::pow(double{b[i]}, 2);
  }
  return std::sqrt(difference / sum);
}

bool is_ane_train(const fs::path& process) {
  std::error_code ignored;
  return fs::read_symlink(process / "exe", ignored).filename().string().starts_with("ane-train");
}

/// Its state "(T)", ID of its parent and so on, which follow the name in its status.
pid_t parent_of(const fs::path& process) {
  const std::string status = read_file(process / "stat");
  const std::size_t end = status.rfind(')');
  return end == std::string::npos ? 0 : std::stoi(status.substr(end + 4));
}

/// The processes of the programs that run in a folder: the trainers, or their rank processes.
std::vector<pid_t> processes_in(const fs::path& folder, bool trainers) {
  std::vector<pid_t> found;
  std::error_code ignored;
  for (fs::directory_iterator entry("/proc", ignored); entry != fs::directory_iterator(); entry.increment(ignored)) {
    const std::string name = entry->path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos || !is_ane_train(entry->path())) continue;
    if (fs::read_symlink(entry->path() / "cwd", ignored) != fs::canonical(folder)) continue;
    const bool is_trainer = is_ane_train(fs::path("/proc") / std::to_string(parent_of(entry->path())));
    if (is_trainer == trainers) found.push_back(std::stoi(name));
  }
  return found;
}

bool wait_until(const std::function<bool()>& condition) {
  for (int i = 0; i < 600; ++i) {
    if (condition()) return true;
    ::usleep(50'000);
  }
  return false;
}

#endif

}  // namespace

#ifdef ANE_MPIRUN

TEST_CASE("ranks compute what a single process computes, and the same bits however they are cut", "[app][ranks]") {
  const Folder alone;
  REQUIRE(run(kRun, {}, alone.path()).code == 0);
  std::vector<std::string> ends;
  for (const char* budget : {"1000", "8"}) {
    const Folder folder;
    const Result result = run_ranks(2, kRun, {std::string("ANE_MAX_COMPILES=") + budget}, folder.path());
    CAPTURE(result.out, result.err);
    REQUIRE(result.code == 0);
    CHECK(count(result.out, "=== Efficiency Report ===") == 1);  // of the first rank
    CHECK(result.err.find("2 ranks; each sends about 0.0") != std::string::npos);
    CHECK(relative_difference(floats_in(parameters_in(folder.path())), floats_in(parameters_in(alone.path()))) < 1e-5);
    ends.push_back(parameters_in(folder.path()));
    CHECK(processes_in(folder.path(), true).empty());
  }
  CHECK(ends[0] == ends[1]);
}

TEST_CASE("a run of two ranks resumes on three and on one", "[app][ranks]") {
  const Folder first;
  REQUIRE(run_ranks(2, with(kRun, "--steps", "6"), {}, first.path()).code == 0);
  const Folder whole;
  REQUIRE(run(kRun, {}, whole.path()).code == 0);
  for (const int ranks : {1, 3}) {
    const Folder folder;
    fs::copy(first.path() / "c", folder.path() / "c", fs::copy_options::recursive);
    const Words words = {"--checkpoint-dir", "c", "--resume", "--steps", "12", "--device", "host", "--threads", "1"};
    const Result result = ranks == 1 ? run(words, {}, folder.path()) : run_ranks(ranks, words, {}, folder.path());
    CAPTURE(ranks, result.out, result.err);
    REQUIRE(result.code == 0);
    CHECK(relative_difference(floats_in(parameters_in(folder.path())), floats_in(parameters_in(whole.path()))) < 1e-5);
  }
}

TEST_CASE("an adapter is trained by two ranks, which exchange nothing else", "[app][ranks]") {
  const Folder folder;
  write_small_model(folder / "model", one_layer_config(), "BF16");
  const Words words = {"--model",       "model", "--lora",      "2",    "--device",         "host",
                       "--threads",     "1",     "--seq",       "16",   "--steps",          "6",
                       "--accum-steps", "2",     "--precision", "fp32", "--checkpoint-dir", "c"};
  const auto adapter = [](const fs::path& place) {
    return parameters_in(place, "step-00000006", "adapter_model.safetensors");
  };
  REQUIRE(run(words, {}, folder.path()).code == 0);
  const std::vector<float> alone = floats_in(adapter(folder.path()));
  fs::remove_all(folder.path() / "c");
  const Result result = run_ranks(2, words, {}, folder.path());
  CAPTURE(result.out, result.err);
  REQUIRE(result.code == 0);
  CHECK(relative_difference(floats_in(adapter(folder.path())), alone) < 1e-5);
}

TEST_CASE("a difference between ranks is one error that names the rank", "[app][ranks]") {
  const Folder folder;
  const Words words = Words{"-np", "1", ANE_TRAIN_PROGRAM} + kRun + Words{":", "-np", "1", ANE_TRAIN_PROGRAM} + kRun +
                      Words{"--seed", "7"};
  const Result result = run(words, kLauncherVariables, folder.path(), ANE_MPIRUN);
  CAPTURE(result.out, result.err);
  CHECK(result.code == 2);
  CHECK(count(result.err, "rank 1 differs from rank 0 in --seed") == 1);
  CHECK(processes_in(folder.path(), true).empty());
}

TEST_CASE("wrong flags are one message, however many ranks", "[app][ranks]") {
  const Folder folder;
  const Result result = run_ranks(2, {"--stepz", "3"}, {}, folder.path());
  CHECK(result.code == 2);
  CHECK(count(result.err, "stepz") == 1);
}

#ifdef __linux__

TEST_CASE("whichever process of a run is killed, all end, and the run resumes with the same bits",
          "[app][ranks][kill]") {
  const Words words = with(kRun, "--steps", "3000") + Words{"--checkpoint-every", "10", "--val-every", "0"};
  const ane::math::CounterRandom random(5, 0);
  for (const bool kills_trainer : {true, false}) {
    const Folder folder;
    Program program(launched(2, words), kLauncherVariables, folder.path(), ANE_MPIRUN);
    REQUIRE(wait_until([&] { return fs::exists(folder.path() / "c" / "step-00000060"); }));
    const std::vector<pid_t> processes = processes_in(folder.path(), kills_trainer);
    REQUIRE(processes.size() == 2);
    REQUIRE(::kill(processes[random.below(2, kills_trainer ? 0 : 1)], SIGKILL) == 0);
    const Result result = program.wait();
    CAPTURE(kills_trainer, result.out, result.err);
    CHECK(result.code != 0);
    if (kills_trainer) CHECK(count(result.err, "was killed by signal 9") == 1);
    CHECK(wait_until([&] { return processes_in(folder.path(), true).empty(); }));
  }
  const Folder whole;
  const Folder folder;
  const Words shorter = with(words, "--steps", "90");
  REQUIRE(run_ranks(2, shorter, {}, whole.path()).code == 0);
  {
    Program program(launched(2, shorter), kLauncherVariables, folder.path(), ANE_MPIRUN);
    REQUIRE(wait_until([&] { return fs::exists(folder.path() / "c" / "step-00000030"); }));
    program.send(SIGKILL);
    static_cast<void>(program.wait());
    REQUIRE(wait_until([&] { return processes_in(folder.path(), true).empty(); }));
  }
  REQUIRE(run_ranks(2, shorter + Words{"--resume"}, {}, folder.path()).code == 0);
  CHECK(parameters_in(folder.path(), "step-00000090") == parameters_in(whole.path(), "step-00000090"));
}

TEST_CASE("a signal to any process stops all with a checkpoint", "[app][ranks][signal]") {
  for (const bool to_trainer : {true, false}) {
    const Folder folder;
    Program program(launched(2, with(kRun, "--steps", "100000")), kLauncherVariables, folder.path(), ANE_MPIRUN);
    REQUIRE(program.wait_for("update 11/"));
    if (to_trainer)
      ::kill(processes_in(folder.path(), true).back(), SIGTERM);
    else
      program.send(SIGUSR1);
    const Result result = program.wait();
    CAPTURE(to_trainer, result.out, result.err);
    CHECK(result.code == 128 + SIGTERM);
    CHECK(result.err.find("resume with:") != std::string::npos);
    CHECK(count(result.err, "mpirun -np 2") == 1);
    CHECK(processes_in(folder.path(), true).empty());
  }
}

TEST_CASE("a stopped rank is reported after the timeout", "[app][ranks]") {
  const Folder folder;
  Program program(launched(2, with(kRun, "--steps", "100000") + Words{"--rank-timeout", "2"}), kLauncherVariables,
                  folder.path(), ANE_MPIRUN);
  REQUIRE(program.wait_for("update 11/"));
  ::kill(processes_in(folder.path(), true).back(), SIGSTOP);
  const Result result = program.wait();
  CAPTURE(result.out, result.err);
  CHECK(result.code == 4);
  CHECK(count(result.err, "has not answered for 2 s (--rank-timeout)") == 1);
  CHECK(wait_until([&] { return processes_in(folder.path(), true).empty(); }));
}

#endif
#endif

TEST_CASE("without MPI, a launched program says so instead of training in every process", "[app][ranks]") {
  if (ane::distributed::has_mpi()) {
    WARN("skipped: this build has MPI");
    return;
  }
  const Folder folder;
  const Result result = run(kRun, {"OMPI_COMM_WORLD_SIZE=2", "OMPI_COMM_WORLD_RANK=0"}, folder.path());
  CHECK(result.code == 2);
  CHECK(result.err.find("built without MPI") != std::string::npos);
}
