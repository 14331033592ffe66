#include <filesystem>
#include <string>

#include "app/program.h"
#include "app/small_run.h"
#include "support/catch.h"
#include "support/sanitized.h"

/// Runs with little memory or few descriptors.
namespace {

using namespace cli_test;
namespace fs = std::filesystem;

/// ane-train under a ulimit of the shell ("-v 100000").
Result run_limited(const std::string& limit, const Words& arguments, const Words& environment, const fs::path& folder) {
  const Words shell = {"-c", "ulimit " + limit + R"( && exec "$0" "$@")", ANE_TRAIN_PROGRAM};
  return Program(shell + arguments, environment, folder, "/bin/sh").wait();
}

bool can_limit(const std::string& limit) {
  const Folder folder;
  return Program({"-c", "ulimit " + limit}, {}, folder.path(), "/bin/sh").wait().code == 0;
}

}  // namespace

TEST_CASE("forty restarts leak no descriptor and no temporary file", "[app][limits]") {
  const Folder folder;
  fs::create_directory(folder / "temporary");
  const Words environment = {"TMPDIR=" + folder / "temporary"};
  int least = 4;
  while (least < 200 &&
         run_limited("-n " + std::to_string(least), kSmall + Words{"--steps", "2"}, environment, folder.path()).code !=
             0)
    ++least;
  REQUIRE(least < 200);
  const Result result = run_limited("-n " + std::to_string(least + 1), kSmall + Words{"--steps", "82"},
                                    Words{"ANE_MAX_COMPILES=6"} + environment, folder.path());
  CAPTURE(least, result.out, result.err);
  CHECK(result.code == 0);
  CHECK(count(result.out, "[RESUMED step") >= 40);
  CHECK(fs::is_empty(fs::path(folder / "temporary")));
  CHECK(entries_in(folder.path()) == 1);
}

namespace {

/// A run whose state is larger than the memory that the BLAS leaves, under address space limits. It restarts and writes
/// a checkpoint at every update.
class RunInLittleMemory {
 public:
  RunInLittleMemory() {
    const Folder folder;
    REQUIRE(unlimited(kSettings, folder).code == 0);
    undisturbed_ = parameters(folder);
  }

  /// Whether it ends with 0. Otherwise it must report the missing memory with the right exit code, and its checkpoints
  /// must lead to the same parameters.
  bool succeeds(long kilobytes) const {
    const Folder folder;
    const Result result =
        run_limited("-v " + std::to_string(kilobytes), kSettings, {"ANE_MAX_COMPILES=6"}, folder.path());
    CAPTURE(kilobytes, result.out, result.err);
    if (result.code == kNoLoader) return false;
    if (result.code != 0) {
      const bool last_is_missing =
          result.err.find("ane-train: the run's last checkpoint is missing: ") != std::string::npos;
      const bool refused = result.err.find("ane-train: this model needs about ") != std::string::npos;
      CHECK(result.code == (refused ? 2 : last_is_missing ? 3 : 4));
      CHECK_THAT(result.err,
                 ANE_CONTAINS("memory") || ANE_CONTAINS("address space") || ANE_CONTAINS("cannot be loaded"));
      CHECK(count(result.err, "ane-train: ") == 1);
      const Result rest =
          unlimited(fs::exists(folder / "c/step-00000002") ? kSettings + Words{"--resume"} : kSettings, folder);
      CAPTURE(rest.err);
      REQUIRE(rest.code == 0);
    }
    CHECK(parameters(folder) == undisturbed_);
    return result.code == 0;
  }

 private:
  static inline const Words kSettings = {"--device",
                                         "host",
                                         "--threads",
                                         "1",
                                         "--dim",
                                         "128",
                                         "--hidden",
                                         "352",
                                         "--layers",
                                         "1",
                                         "--heads",
                                         "4",
                                         "--vocab",
                                         "16000",
                                         "--seq",
                                         "32",
                                         "--steps",
                                         "4",
                                         "--accum-steps",
                                         "2",
                                         "--val-samples",
                                         "1",
                                         "--checkpoint-dir",
                                         "c",
                                         "--lr",
                                         "1e-3",
                                         "--checkpoint-every",
                                         "1"};
  static constexpr int kNoLoader = 127;  // fails before the program starts

  static Result unlimited(const Words& arguments, const Folder& folder) {  // with the BLAS of a limited run
    return run_limited("-v 100000000", arguments, {}, folder.path());
  }
  static std::string parameters(const Folder& folder) {
    return read_file(folder / "c/step-00000004/model.safetensors");
  }

  std::string undisturbed_;
};

}  // namespace

TEST_CASE("a run without memory ends with one message, and its checkpoints are complete", "[app][limits]") {
  if (kSanitized || !can_limit("-v 1000000")) {
    WARN("skipped: no limit on address space here");
    return;
  }
  const RunInLittleMemory run;
  constexpr long kNearest = 1024;
  long too_little = 2000;
  long enough = 1000000;
  REQUIRE(run.succeeds(enough));
  while (enough - too_little > kNearest) {
    const long middle = (enough + too_little) / 2;
    (run.succeeds(middle) ? enough : too_little) = middle;
  }
  for (long below = kNearest; too_little - below > 4000; below *= 2) run.succeeds(too_little - below);
  // Just above that limit, there is memory for training but not for another thread, or for the thread but not for its
  // work.
  constexpr long kStep = 250;
  constexpr long kThread = 12000;
  for (long above = 0; above < kThread; above += kStep) run.succeeds(enough + above);
}

TEST_CASE("a run reserves memory only for its compute threads", "[app][limits]") {
  if (kSanitized || !can_limit("-v 1000000")) {
    WARN("skipped: no limit on address space here");
    return;
  }
  const Folder folder;
  constexpr long kStep = 40000;  // less than the BLAS maps per thread
  Result result;
  for (long limit = kStep; limit < 2000000; limit += kStep) {
    result = run_limited("-v " + std::to_string(limit), kSmall + Words{"--steps", "2"}, {}, folder.path());
    CHECK_THAT(result.err, !ANE_CONTAINS("of 2 threads"));
    if (result.code == 0) break;
  }
  CHECK(result.code == 0);
}
