#include <algorithm>
#include <array>
#include <cmath>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "ane/core/file.h"
#include "ane/distributed/rank_process.h"

#include "app/persona_programs.h"
#include "app/program.h"
#include "app/rank_programs.h"
#include "app/small_model.h"
#include "app/small_run.h"
#include "support/catch.h"
#include "support/sanitized.h"

namespace {

using namespace cli_test;
namespace fs = std::filesystem;

const Words kRanksRun =
    with(kSmall, "--accum-steps", "3") +
    Words{"--steps", "12", "--precision", "fp32", "--checkpoint-dir", "c", "--log-every", "1", "--output", "plain"};

#ifdef ANE_MPIRUN

std::string parameters_of_ranks(const fs::path& folder, const std::string& checkpoint = "step-00000012",
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

#endif

}  // namespace

#ifdef ANE_MPIRUN

TEST_CASE("ranks compute what a single process computes, and the same bits however they are cut", "[app][ranks]") {
  const Folder alone;
  REQUIRE(run(kRanksRun, {}, alone.path()).code == 0);
  std::vector<std::string> ends;
  for (const char* budget : {"1000", "8"}) {
    const Folder folder;
    const Result result = run_ranks(2, kRanksRun, {std::string("ANE_MAX_COMPILES=") + budget}, folder.path());
    CAPTURE(result.out, result.err);
    REQUIRE(result.code == 0);
    CHECK(count(result.out, "=== Efficiency Report ===") == 1);  // of the first rank
    CHECK(result.err.find("2 ranks; each sends about 0.0") != std::string::npos);
    CHECK(relative_difference(floats_in(parameters_of_ranks(folder.path())),
                              floats_in(parameters_of_ranks(alone.path()))) < 1e-5);
    ends.push_back(parameters_of_ranks(folder.path()));
    CHECK(processes_in(folder.path(), RankRole::trainer).empty());
  }
  CHECK(ends[0] == ends[1]);
}

TEST_CASE("a run of two ranks resumes on three and on one", "[app][ranks]") {
  const Folder first;
  REQUIRE(run_ranks(2, with(kRanksRun, "--steps", "6"), {}, first.path()).code == 0);
  const Folder whole;
  REQUIRE(run(kRanksRun, {}, whole.path()).code == 0);
  for (const int ranks : {1, 3}) {
    const Folder folder;
    fs::copy(first.path() / "c", folder.path() / "c", fs::copy_options::recursive);
    const Words words = {"--checkpoint-dir", "c", "--resume", "--steps", "12", "--device", "host", "--threads", "1"};
    const Result result = ranks == 1 ? run(words, {}, folder.path()) : run_ranks(ranks, words, {}, folder.path());
    CAPTURE(ranks, result.out, result.err);
    REQUIRE(result.code == 0);
    CHECK(relative_difference(floats_in(parameters_of_ranks(folder.path())),
                              floats_in(parameters_of_ranks(whole.path()))) < 1e-5);
  }
}

TEST_CASE("an adapter is trained by two ranks, which exchange nothing else", "[app][ranks]") {
  const Folder folder;
  write_small_model(folder / "model", one_layer_config(), "BF16");
  const Words words = {"--model",       "model", "--lora",      "2",    "--device",         "host",
                       "--threads",     "1",     "--seq",       "16",   "--steps",          "6",
                       "--accum-steps", "2",     "--precision", "fp32", "--checkpoint-dir", "c"};
  const auto adapter = [](const fs::path& place) {
    return parameters_of_ranks(place, "step-00000006", "adapter_model.safetensors");
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
  const Words first = Words{ANE_TRAIN_PROGRAM} + kRanksRun;
  const Words words = launched_apart({first, first + Words{"--seed", "7"}}, folder.path());
  const Result result = run(words, launcher_variables(folder.path()), folder.path(), ANE_MPIRUN);
  CAPTURE(result.out, result.err);
  CHECK(result.code == 2);
  CHECK(count(result.err, "rank 1 differs from rank 0 in --seed") == 1);
  CHECK(wait_until([&] { return processes_in(folder.path(), RankRole::trainer).empty(); }));
}

TEST_CASE("a rank that cannot start ends the run with its message alone", "[app][ranks]") {
  const Folder folder;
  for (const char* machine : {"first", "second"}) fs::create_directory(folder / machine);
  write_file(folder.path() / "first" / "data.txt", std::string(10000, ' '));
  const auto rank = [&](const std::string& machine) {
    const std::string script = R"(cd "$0" && exec "$@")";
    return Words{"/bin/sh", "-c", script, folder / machine, ANE_TRAIN_PROGRAM} + kRanksRun +
           Words{"--data", "data.txt"};
  };
  const Result result = run(launched_apart({rank("first"), rank("second")}, folder.path()),
                            launcher_variables(folder.path()), folder.path(), ANE_MPIRUN);
  CAPTURE(result.out, result.err);
  CHECK(result.code == 3);
  CHECK(count(result.err, "ane-train: rank 1 (") == 1);
  CHECK(count(result.err, "data.txt") == 1);
  CHECK(count(result.err, "ane-train: ") == 1);
  CHECK(wait_until([&] { return processes_in(folder.path() / "first").empty(); }));
}

TEST_CASE("telemetry has the number of ranks, and the times and bytes of each", "[app][ranks]") {
  const Folder folder;
  const Words words = kRanksRun + Words{"--telemetry", "t.jsonl"};
  const Result result = run_ranks(3, words, {"ANE_MAX_COMPILES=8"}, folder.path());
  CAPTURE(result.out, result.err);
  REQUIRE(result.code == 0);
  std::int64_t exchanged = 0;
  int updates = 0;
  for (const std::string& line : lines_of(read_file(folder.path() / "t.jsonl"))) {
    const nlohmann::json record = nlohmann::json::parse(line);
    if (record["type"] == "run") CHECK(record["ranks"] == 3);
    if (record["type"] == "end") CHECK(record["exchanged_bytes"] == exchanged);
    if (record["type"] != "ranks") continue;
    ++updates;
    for (const char* field : {"compute_ms", "waiting_ms", "exchange_ms", "sent_bytes"})
      CHECK(record[field].size() == 3);
    exchanged += record["sent_bytes"][0].get<std::int64_t>();
  }
  CHECK(updates == 4);
  CHECK(exchanged > 0);
}

TEST_CASE("a warning of another rank is printed with its name", "[app][ranks]") {
  const Folder folder;
  const Words faulty = Words{ANE_TRAIN_FAULTS} + kRanksRun;
  const Words words = launched_apart({faulty, Words{"env", "ANE_TRAIN_FAULT=compile:2@1"} + faulty}, folder.path());
  const Result result = run(words, launcher_variables(folder.path()), folder.path(), ANE_MPIRUN);
  CAPTURE(result.out, result.err);
  CHECK(result.code == 0);
  CHECK(count(result.err, "a compile failed and is retried") == 1);
  CHECK(count(result.err, "warning rank 1 (") == 1);
}

#ifdef ANE_TRAIN_STANDIN
TEST_CASE("ranks on different devices are refused unless the user accepts it", "[app][ranks]") {
  for (const bool accepts : {false, true}) {
    const Folder folder;
    Words settings = Words{ANE_TRAIN_STANDIN} + with(kRanksRun, "--precision", "fp16");
    if (accepts) settings.emplace_back("--allow-mixed-devices");
    const Words words = launched_apart({settings, with(settings, "--device", "ane")}, folder.path());
    const Result result = run(words, launcher_variables(folder.path()), folder.path(), ANE_MPIRUN);
    CAPTURE(accepts, result.out, result.err);
    CHECK(result.code == (accepts ? 0 : 2));
    CHECK(count(result.err, "rank 1 differs from rank 0 in the device (--allow-mixed-devices") == (accepts ? 0 : 1));
  }
}
#endif

#ifdef ANE_TRAIN_STANDIN
TEST_CASE("ranks whose engines allow different loss scales are refused unless it is fixed", "[app][ranks]") {
  const Folder folder;
  REQUIRE(on_persona(folder, "m3-ultra", {"doctor", "--device", "ane", "--explore", "--quick"}).code == 0);
  for (const bool is_fixed : {false, true}) {
    Words settings = with(with(kRanksRun, "--precision", "fp16"), "--device", "ane");
    if (is_fixed) settings = settings + Words{"--loss-scale", "256"};
    const auto rank = [&](const std::string& cache) {
      return Words{"env", "XDG_CACHE_HOME=" + (folder / cache), ANE_TRAIN_STANDIN} + settings;
    };
    const Words words = launched_apart({rank("cache"), rank("empty")}, folder.path());
    const Words environment =
        launcher_variables(folder.path()) + Words{"STANDIN_CHIP=m3-ultra", "STANDIN_COMPILE_MS=0"};
    const Result result = run(words, environment, folder.path(), ANE_MPIRUN);
    CAPTURE(is_fixed, result.out, result.err);
    CHECK(result.code == (is_fixed ? 0 : 2));
    CHECK(count(result.err, "rank 1 differs from rank 0 in the largest loss scale") == (is_fixed ? 0 : 1));
  }
}

TEST_CASE("a rank may compile in workers while another one compiles in its own process", "[app][ranks][workers]") {
  const Words settings = with(with(kRanksRun, "--precision", "fp16"), "--device", "ane") + Words{"--weights", "baked"};
  const Words in_workers = settings + Words{"--compile-in", "worker", "--compile-workers", "1"};
  std::vector<std::string> ends;
  for (const Words& second : {settings, in_workers}) {
    const Folder folder;
    const Words program = {ANE_TRAIN_STANDIN};
    const Words words = launched_apart({program + settings, program + second}, folder.path());
    const Words environment =
        launcher_variables(folder.path()) + Words{"STANDIN_HOME=" + (folder / "home"), "ANE_MAX_COMPILES=20"};
    const Result result = run(words, environment, folder.path(), ANE_MPIRUN);
    CAPTURE(result.out, result.err);
    REQUIRE(result.code == 0);
    CHECK(count(result.err, "warning") == 0);
    ends.push_back(parameters_of_ranks(folder.path()));
    CHECK_FALSE(fs::exists(folder.path() / "home-cache"));  // the stand-in removes it if it is empty
  }
  CHECK_FALSE(ends[0].empty());
  CHECK(ends[0] == ends[1]);
}
#endif

TEST_CASE("wrong flags are one message, however many ranks", "[app][ranks]") {
  const Folder folder;
  const Result result = run_ranks(2, {"--stepz", "3"}, {}, folder.path());
  CHECK(result.code == 2);
  CHECK(count(result.err, "stepz") == 1);
}

TEST_CASE("a wrong flag of a single rank is reported with the rank", "[app][ranks]") {
  const Folder folder;
  const Words words =
      launched_apart({Words{ANE_TRAIN_PROGRAM} + kRanksRun, Words{ANE_TRAIN_PROGRAM, "--stepz", "3"}}, folder.path());
  const Result result = run(words, launcher_variables(folder.path()), folder.path(), ANE_MPIRUN);
  CAPTURE(result.out, result.err);
  CHECK(result.code == 2);
  CHECK(count(result.err, "ane-train: rank 1: ") == 1);
  CHECK(count(result.err, "ane-train: ") == 1);
  CHECK(wait_until([&] { return processes_in(folder.path()).empty(); }));
}

#ifdef __linux__

TEST_CASE("a signal to any process stops all with a checkpoint", "[app][ranks][signal]") {
  for (const bool to_trainer : {true, false}) {
    const Folder folder;
    Program program(launched(2, with(kRanksRun, "--steps", "100000")), launcher_variables(folder.path()), folder.path(),
                    ANE_MPIRUN);
    REQUIRE(program.wait_for("update 11/"));
    if (to_trainer)
      ::kill(processes_in(folder.path(), RankRole::trainer).back(), SIGTERM);
    else
      program.send(SIGUSR1);
    const Result result = program.wait();
    CAPTURE(to_trainer, result.out, result.err);
    CHECK(result.code == 128 + SIGTERM);
    CHECK(result.err.find("resume with:") != std::string::npos);
    CHECK(count(result.err, "mpirun -np 2") == 1);
    CHECK(processes_in(folder.path(), RankRole::trainer).empty());
  }
}

TEST_CASE("a stopped process of a rank is reported after the timeout", "[app][ranks]") {
  for (const RankRole role : {RankRole::trainer, RankRole::rank_process}) {
    const Folder folder;
    Program program(launched(2, with(kRanksRun, "--steps", "100000") + Words{"--rank-timeout", "2"}),
                    launcher_variables(folder.path()), folder.path(), ANE_MPIRUN);
    REQUIRE(program.wait_for("update 11/"));
    ::kill(processes_in(folder.path(), role).back(), SIGSTOP);
    const Result result = program.wait();
    CAPTURE(role, result.out, result.err);
    CHECK(result.code == 4);
    CHECK(count(result.err, "has not answered for 2 s (--rank-timeout)") == 1);
    CHECK(wait_until([&] { return processes_in(folder.path()).empty(); }));
  }
}

#endif
#endif

TEST_CASE("without MPI, a launched program says so instead of training in every process", "[app][ranks]") {
  if (ane::distributed::has_mpi()) {
    WARN("skipped: this build has MPI");
    return;
  }
  const Folder folder;
  const Result result = run(kRanksRun, {"OMPI_COMM_WORLD_SIZE=2", "OMPI_COMM_WORLD_RANK=0"}, folder.path());
  CHECK(result.code == 2);
  CHECK(result.err.find("built without MPI") != std::string::npos);
}
