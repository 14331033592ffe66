#include <filesystem>
#include <string>

#include "cli/program.h"
#include "cli/small_run.h"
#include "support/catch.h"

/// What becomes of a run that may have little: memory, descriptors.
namespace {

using namespace cli_test;
namespace fs = std::filesystem;

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kSanitized = true;
#elif defined(__has_feature)
constexpr bool kSanitized = __has_feature(address_sanitizer);
#else
constexpr bool kSanitized = false;
#endif

/// ane-train under a limit of the shell's ulimit ("-v 100000").
Result run_limited(const std::string& limit, const Words& arguments, const Words& environment, const fs::path& folder) {
  const Words shell = {"-c", "ulimit " + limit + " && exec \"$0\" \"$@\"", ANE_TRAIN_PROGRAM};
  return Program(shell + arguments, environment, folder, "/bin/sh").wait();
}

bool can_limit(const std::string& limit) {
  const Folder folder;
  return Program({"-c", "ulimit " + limit}, {}, folder.path(), "/bin/sh").wait().code == 0;
}

std::size_t entries(const fs::path& folder) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

}  // namespace

TEST_CASE("forty restarts keep no descriptor and no temporary file", "[cli][limits]") {
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
  CHECK(entries(folder.path()) == 1);
}

TEST_CASE("a run without memory ends with one message, and its checkpoints are whole", "[cli][limits]") {
  if (kSanitized || !can_limit("-v 1000000")) {
    WARN("skipped: no limit on address space here");
    return;
  }
  // Its state is larger than what the BLAS leaves free.
  const Words settings = {
      "--device",         "host", "--threads", "1",    "--dim",         "128",   "--hidden",      "352",
      "--layers",         "1",    "--heads",   "4",    "--vocab",       "32000", "--seq",         "32",
      "--steps",          "4",    "--lr",      "1e-3", "--accum-steps", "2",     "--val-samples", "1",
      "--checkpoint-dir", "c"};
  const auto limited = [&](long kilobytes, const Folder& folder) {
    return run_limited("-v " + std::to_string(kilobytes), settings + Words{"--checkpoint-every", "1"},
                       {"ANE_MAX_COMPILES=6"}, folder.path());
  };
  const auto unlimited = [&](const Words& arguments, const Folder& folder) {  // but with the BLAS of a limited run
    return run_limited("-v 100000000", arguments, {}, folder.path());
  };
  const Folder whole;
  REQUIRE(unlimited(settings, whole).code == 0);
  const std::string undisturbed = read_file(whole / "c/step-00000004/model.safetensors");

  constexpr long kNearest = 4096;
  long too_little = 2000;
  long enough = 8000000;
  while (enough - too_little > kNearest) {
    const long middle = (enough + too_little) / 2;
    const Folder folder;
    (limited(middle, folder).code == 0 ? enough : too_little) = middle;
  }
  for (long below = 0; too_little - below > 4000; below += kNearest + below) {
    const Folder folder;
    const Result result = limited(too_little - below, folder);
    CAPTURE(too_little - below, result.out, result.err);
    if (result.code == 127) continue;  // the loader, before there is a program
    if (result.code != 0) {            // memory is not always laid out alike, so now and then it is enough
      CHECK((result.code == 4 || result.code == 3));  // 3: all but the last checkpoint had memory enough
      CHECK(count(result.err, "ane-train: ") == 1);
    }
    const bool saved = fs::exists(folder / "c/step-00000002") || fs::exists(folder / "c/step-00000004");
    const Result rest = unlimited(saved ? settings + Words{"--resume"} : settings, folder);
    CAPTURE(rest.err);
    REQUIRE(rest.code == 0);
    CHECK(read_file(folder / "c/step-00000004/model.safetensors") == undisturbed);
  }
}
