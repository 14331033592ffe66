#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include "ane/core/descriptor.h"
#include "ane/train/checkpoint.h"

#include "app/program.h"
#include "app/small_run.h"
#include "support/catch.h"

/// Interference with a run and its files, and files that a run must not touch.
namespace {

using namespace cli_test;
namespace fs = std::filesystem;

const Words kEndless = kSmall + Words{"--steps", "1000000", "--log-every", "1"};
const Words kUnlimited = {"ANE_MAX_COMPILES=1000000"};
const Words kManyRestarts = {"ANE_MAX_COMPILES=13"};

/// Sends `signal` repeatedly, because `timeout` and terminals send it more than once.
Result stop_insistently(Program& program, int signal) {
  while (!program.has_ended()) {
    program.send(signal);
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  return program.wait();
}

/// Reads a new named pipe like `cat`, until no process has it open for writing.
class PipeReader {
 public:
  explicit PipeReader(const std::string& path) {
    if (::mkfifo(path.c_str(), 0600) != 0) throw std::runtime_error("no pipe");
    pipe_ = ane::Descriptor(::open(path.c_str(), O_RDONLY | O_NONBLOCK));
    thread_ = std::thread([this] { read(); });
  }
  ~PipeReader() {
    abandoned_ = true;
    if (thread_.joinable()) thread_.join();
  }
  PipeReader(const PipeReader&) = delete;
  PipeReader& operator=(const PipeReader&) = delete;

  /// The whole text, after all writers have closed the pipe.
  const std::string& text() {
    if (thread_.joinable()) thread_.join();
    return text_;
  }

 private:
  void read() {
    std::array<char, 65536> buffer{};
    while (!abandoned_) {
      const ssize_t size = ::read(pipe_.get(), buffer.data(), buffer.size());
      if (size > 0) text_.append(buffer.data(), static_cast<std::size_t>(size));
      if (size == 0 && !text_.empty()) break;  // an empty text means that no writer has opened it yet
      if (size <= 0) std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
    pipe_ = ane::Descriptor();
  }

  ane::Descriptor pipe_;
  std::string text_;
  std::atomic<bool> abandoned_{false};
  std::thread thread_;
};

}  // namespace

TEST_CASE("a repeated signal waits for the checkpoint", "[app][signal]") {
  const int signal = GENERATE(SIGTERM, SIGHUP, SIGPIPE, SIGXCPU);
  CAPTURE(signal);
  const Folder folder;
  Program program(kEndless + Words{"--checkpoint-dir", "c", "--profile", "p.json"}, kUnlimited, folder.path());
  REQUIRE(program.wait_for("step 4 "));
  const Result result = stop_insistently(program, signal);
  CAPTURE(result.err);
  CHECK(result.code == 128 + signal);
  CHECK_THAT(result.err, ANE_CONTAINS("stopped by signal " + std::to_string(signal)));
  CHECK(ane::train::checkpoints_in(folder / "c").size() == 1);
  CHECK(nlohmann::json::accept(read_file(folder / "p.json")));
}

TEST_CASE("a run at its processor time limit is saved", "[app][signal]") {
  const Folder folder;
  // The shell sets both limits, and at the second one the system would kill without a message.
  const Words shell = {"-c", R"(ulimit -t 3; exec "$0" "$@")", ANE_TRAIN_PROGRAM};
  const Result result = Program(shell + kEndless + Words{"--checkpoint-dir", "c"}, {}, folder.path(), "/bin/sh").wait();
  CAPTURE(result.err);
  CHECK(result.code == 128 + SIGXCPU);
  CHECK(ane::train::checkpoints_in(folder / "c").size() == 1);
}

TEST_CASE("data truncated during the run end it, and no progress is lost", "[app][faults]") {
  const std::string name = GENERATE(as<std::string>(), "data.bin", "data.txt");
  const std::size_t left = GENERATE(0U, 20000U);
  CAPTURE(name, left);
  const Folder folder;
  const std::string text(200000, name.ends_with(".bin") ? '\0' : '\x20');
  write_file(folder / name, text);
  Program program(kEndless + Words{"--data", name, "--checkpoint-dir", "c"}, kUnlimited, folder.path());
  REQUIRE(program.wait_for("step 4 "));
  fs::resize_file(folder / name, left);
  const Result result = program.wait();
  CAPTURE(result.err);
  CHECK(result.code == 3);
  CHECK_THAT(result.err, ANE_CONTAINS(name + "' ends at byte") && ANE_CONTAINS("Progress saved at step"));
  REQUIRE(ane::train::checkpoints_in(folder / "c").size() == 1);

  write_file(folder / name, text);
  const Words more = kEndless + Words{"--data", name, "--checkpoint-dir", "c", "--resume"};
  Program resumed(more, kUnlimited, folder.path());
  CHECK(resumed.wait_for("[RESUMED step "));
}

TEST_CASE("telemetry and profile in pipes are complete across re-executions", "[app][telemetry][profile]") {
  const Folder folder;
  PipeReader telemetry_reader(folder / "t");
  PipeReader profile_reader(folder / "p");
  const Result result =
      run(kSmall + Words{"--steps", "20", "--telemetry", "t", "--profile", "p"}, kManyRestarts, folder.path());
  CAPTURE(result.err);
  REQUIRE(result.code == 0);
  CHECK(result.err.find("warning") == std::string::npos);
  const std::string telemetry = telemetry_reader.text();
  CHECK(count(telemetry, R"({"type":"step")") == 20);
  CHECK(count(telemetry, R"({"type":"end")") == 1);
  const nlohmann::json profile = nlohmann::json::parse(profile_reader.text(), nullptr, false);
  REQUIRE(profile.is_array());
  CHECK(count(profile.dump(), R"("leave process")") == 4);
}

TEST_CASE("a file that another setting names is never overwritten", "[app][errors]") {
  const Folder folder;
  const Words trained = kSmall + Words{"--steps", "2", "--checkpoint-dir", "c"};
  REQUIRE(run(trained, {}, folder.path()).code == 0);
  const std::string model = read_file(folder / "c/step-00000002/model.safetensors");
  const std::string text(20000, ' ');
  write_file(folder / "model.safetensors", model);
  write_file(folder / "data.txt", text);
  write_file(folder / "settings.json", R"({"seed": 3})");
  fs::create_symlink("data.txt", folder / "link");
  fs::create_hard_link(folder / "data.txt", folder / "second name");
  fs::create_symlink("new", folder / "dangling");

  struct Row {
    Words arguments;
    std::string first, second;  ///< settings named in the message
  };
  const std::vector<Row> rows = {
      {{"--profile", "data.txt", "--data", "data.txt"}, "profile", "data"},
      {{"--telemetry", "data.txt", "--data", "data.txt"}, "telemetry", "data"},
      {{"--telemetry", "./data.txt", "--data", "data.txt"}, "telemetry", "data"},
      {{"--profile", "link", "--data", "data.txt"}, "profile", "data"},
      {{"--profile", "second name", "--data", "data.txt"}, "profile", "data"},
      {{"--profile", "data.txt", "--data", "link"}, "profile", "data"},
      {{"--telemetry", "model.safetensors", "--model", "model.safetensors"}, "telemetry", "model"},
      {{"--profile", "settings.json", "--config", "settings.json"}, "profile", "config"},
      {{"--telemetry", "data.txt", "--profile", "data.txt"}, "profile", "telemetry"},
      {{"--telemetry", "new", "--profile", "./new"}, "profile", "telemetry"},
      {{"--telemetry", "new", "--profile", "dangling"}, "profile", "telemetry"},
      {{"--telemetry", "c/.lock", "--checkpoint-dir", "c", "--resume"}, "telemetry", "checkpoint-dir"},
      {{"--profile", "c/step-00000002/trainer.json", "--checkpoint-dir", "./c", "--resume"},
       "profile",
       "checkpoint-dir"},
  };
  for (const Row& row : rows) {
    const Result result = run(kSmall + Words{"--steps", "4"} + row.arguments, {}, folder.path());
    CAPTURE(row.arguments, result.out, result.err);
    CHECK(result.code == 2);
    CHECK_THAT(result.err, ANE_CONTAINS(row.first + " (--" + row.first + ")"));
    CHECK_THAT(result.err, ANE_CONTAINS(row.second == "checkpoint-dir" ? "checkpoint_dir (--checkpoint-dir)"
                                                                       : row.second + " (--" + row.second + ")"));
    CHECK(read_file(folder / "data.txt") == text);
    CHECK(read_file(folder / "model.safetensors") == model);
    CHECK(read_file(folder / "settings.json") == R"({"seed": 3})");
    CHECK_FALSE(fs::exists(folder / "new"));
  }
  // Devices cannot be overwritten.
  CHECK(run(kSmall + Words{"--steps", "2", "--telemetry", "/dev/null", "--profile", "/dev/null"}).code == 0);
  CHECK(run(kSmall + Words{"--steps", "4", "--checkpoint-dir", "c", "--resume", "--telemetry", "c/t.jsonl"}, {},
            folder.path())
            .code == 0);
}

TEST_CASE("a rescue checkpoint is written to a writable place", "[app][signal]") {
  const Folder folder;
  fs::create_directory(folder / "here");
  fs::create_directory(folder / "temporary");
  Program program(kEndless, kUnlimited + Words{"TMPDIR=" + folder / "temporary"}, folder / "here");
  REQUIRE(program.wait_for("step 4 "));
  fs::remove_all(folder / "here");  // unlike a directory without permission, root cannot write to it either
  program.send(SIGTERM);
  const Result result = program.wait();
  CAPTURE(result.err);
  CHECK(result.code == 128 + SIGTERM);
  CHECK_THAT(result.err, ANE_CONTAINS("ane-train-checkpoint: the directory could not be created") &&
                             ANE_CONTAINS("--checkpoint-dir '" + folder / "temporary/ane-train-checkpoint-"));
  const fs::path saved = *fs::directory_iterator(folder / "temporary");
  CHECK(ane::train::checkpoints_in(saved).size() == 1);
}

TEST_CASE("a failed compile is reported even if its files cannot be saved", "[app][fault]") {
  const Folder folder;
  const Words run_once = kSmall + Words{"--steps", "2"};
  CHECK(run(run_once, {"TMPDIR=/dev/null/nowhere"}, folder.path()).code == 0);
  const Result nowhere =
      run(run_once, {"TMPDIR=/dev/null/nowhere", "ANE_TRAIN_FAULT=compile:3"}, folder.path(), ANE_TRAIN_FAULTS);
  CAPTURE(nowhere.err);
  CHECK(nowhere.code == 4);
  CHECK_THAT(nowhere.err, ANE_CONTAINS("compile 3 of this process fails as planned; its MIL could not be saved") &&
                              ANE_CONTAINS("set TMPDIR"));

  fs::create_directory(folder / "temporary");
  const Result saved =
      run(run_once, {"TMPDIR=" + folder / "temporary", "ANE_TRAIN_FAULT=compile:3"}, folder.path(), ANE_TRAIN_FAULTS);
  CAPTURE(saved.err);
  CHECK(saved.code == 4);
  const fs::path directory = *fs::directory_iterator(folder / "temporary");
  CHECK_THAT(saved.err, ANE_CONTAINS("its MIL is in " + directory.string()));
  CHECK(fs::status(directory).permissions() == fs::perms::owner_all);
}

TEST_CASE("a checkpoint directory removed during the run is created and locked again", "[app][run]") {
  const Folder folder;
  Program program(kEndless + Words{"--checkpoint-dir", "c", "--checkpoint-every", "1"}, kUnlimited, folder.path());
  REQUIRE(program.wait_for("[checkpoint step "));
  fs::rename(folder / "c", folder / "gone");
  // Only the lock's holder writes its process ID there.
  const fs::path lock = folder / "c/.lock";
  while ((!fs::exists(lock) || fs::file_size(lock) == 0) && !program.has_ended())
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  const Result other = run(kSmall + Words{"--steps", "2", "--checkpoint-dir", "c"}, {}, folder.path());
  CAPTURE(other.err);
  CHECK(other.code == 2);
  CHECK_THAT(other.err, ANE_CONTAINS("process " + std::to_string(program.pid())));
}

TEST_CASE("a resumed run does not need its original model file", "[app][resume]") {
  const Folder folder;
  REQUIRE(run(kSmall + Words{"--steps", "2", "--checkpoint-dir", "first"}, {}, folder.path()).code == 0);
  fs::copy_file(folder / "first/step-00000002/model.safetensors", folder / "start.safetensors");
  const Words settings = {"--device",      "host", "--threads",        "1",
                          "--accum-steps", "2",    "--model",          "start.safetensors",
                          "--seq",         "16",   "--checkpoint-dir", "c"};
  REQUIRE(run(settings + Words{"--steps", "4"}, {}, folder.path()).code == 0);
  fs::remove(folder / "start.safetensors");
  const Result resumed = run(settings + Words{"--steps", "8", "--resume"}, {}, folder.path());
  CAPTURE(resumed.err);
  CHECK(resumed.code == 0);
  CHECK_THAT(resumed.out, ANE_CONTAINS("[RESUMED step 4,"));

  const Result other = run(settings + Words{"--steps", "8", "--resume", "--dim", "64"}, {}, folder.path());
  CAPTURE(other.err);
  CHECK(other.code == 2);
  CHECK_THAT(other.err, ANE_CONTAINS("dim is 64 (--dim), but c has 32"));
}
