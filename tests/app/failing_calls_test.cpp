#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>

#include <fmt/format.h>

#include "app/program.h"
#include "app/small_model.h"
#include "app/small_run.h"
#include "support/catch.h"
#include "support/sanitized.h"

#ifdef ANE_FAILING_CALLS

namespace {

using namespace cli_test;

/// A run with three checkpoints, of which two are kept, over two processes.
const Words kFailingRun = kSmall + Words{"--log-every", "2", "--keep-checkpoints", "2", "--checkpoint-every", "2"};
const std::string kBudget = "ANE_MAX_COMPILES=25";

struct Failure {
  std::uint64_t call = 0;
  int error = 0;
};

/// Runs in `folder`, with a failing call in its directory `c`; returns whether there were that many calls.
Result run_failing(const Folder& folder, const Words& arguments, const Failure& failure, bool& happened) {
  write_file(folder / "count", std::string(sizeof(std::uint64_t), '\0'));
  Result result = run(arguments,
                      {kBudget, std::string("LD_PRELOAD=") + ANE_FAILING_CALLS, "FAIL_BELOW=" + folder / "c",
                       fmt::format("FAIL_CALL={}", failure.call), fmt::format("FAIL_ERROR={}", failure.error),
                       "FAIL_COUNT=" + folder / "count"},
                      folder.path());
  std::uint64_t calls = 0;
  std::memcpy(&calls, read_file(folder / "count").data(), sizeof calls);
  happened = calls >= failure.call;
  return result;
}

/// The step number after the last occurrence of `text`; 0 if there is none.
std::int64_t last_step(const std::string& out, const std::string& text) {
  const std::size_t at = out.rfind(text);
  return at == std::string::npos ? 0 : std::stoll(out.substr(at + text.size()));
}

Words run_in(const Folder& folder, const std::string& steps) {
  return kFailingRun + Words{"--checkpoint-dir", folder / "c", "--steps", steps};
}

/// What is trained while calls fail.
struct TrainedFile {
  Words settings;
  std::string file;      ///< of a checkpoint
  std::uint64_t stride;  ///< which calls fail: the first, and every so many after it
};
const TrainedFile kWholeModel = {{}, "model.safetensors", 1};
const TrainedFile kAdapterOnly = {{"--model", "model", "--lora", "2"}, "adapter_model.safetensors", 5};

std::string parameters_in(const Folder& folder, const TrainedFile& trained) {
  return read_file(folder / ("c/step-00000012/" + trained.file));
}

/// A folder with the model that an adapter is for.
class OneLayerFolder : public Folder {
 public:
  OneLayerFolder() { write_small_model(path() / "model", one_layer_config()); }
};

/// Makes each call that changes a file in the checkpoint directory fail once, in a new run or a resumed one: in turn as
/// on a full disk and as on a broken one.
void fail_each_call(const TrainedFile& trained, bool resumes) {
  const OneLayerFolder undisturbed;
  const auto words = [&](const Folder& folder, const char* steps) { return run_in(folder, steps) + trained.settings; };
  REQUIRE(run(words(undisturbed, "12"), {kBudget}, undisturbed.path()).code == 0);
  const std::string expected = parameters_in(undisturbed, trained);
  REQUIRE_FALSE(expected.empty());

  bool happened = true;
  std::uint64_t call = 1;
  const std::uint64_t stride = kSanitized ? 27 : trained.stride;  // hundreds of runs take ten minutes with sanitizers
  for (; happened; call += stride) {
    const int error = call % 2 == 0 ? ENOSPC : EIO;
    const OneLayerFolder folder;
    Words arguments = words(folder, "12");
    if (resumes) {
      REQUIRE(run(words(folder, "8"), {kBudget}, folder.path()).code == 0);
      arguments.emplace_back("--resume");
    }
    const Result failed = run_failing(folder, arguments, {call, error}, happened);
    CAPTURE(resumes, error, call, failed.out, failed.err);
    CHECK((failed.code == 0 || failed.code == 3));
    if (!happened) CHECK(failed.err.find("warning") == std::string::npos);
    const std::int64_t saved = std::max<std::int64_t>(last_step(failed.out, "[checkpoint step "), resumes ? 8 : 0);
    if (failed.code == 0) CHECK(saved == 12);

    arguments = words(folder, "12");
    if (has_checkpoint(folder / "c")) arguments.emplace_back("--resume");
    const Result rest = run(arguments, {kBudget}, folder.path());
    CAPTURE(rest.out, rest.err);
    REQUIRE(rest.code == 0);
    const std::int64_t resumed_at =
        std::max(last_step(rest.out, "[RESUMED step "),
                 last_step(rest.err, "nothing is left to train: the checkpoint is of step "));
    CHECK(resumed_at >= saved);
    CHECK(rest.err.find("damaged") == std::string::npos);
    CHECK(parameters_in(folder, trained) == expected);
  }
  CHECK(call > 50);  // the preloaded library works
}

}  // namespace

// Separate tests, so that they run in parallel.
TEST_CASE("if any call fails on a full or broken disk, no saved progress is lost", "[app][faults]") {
  fail_each_call(kWholeModel, false);
}

TEST_CASE("if any call fails on a full or broken disk, a resumed run loses nothing", "[app][faults]") {
  fail_each_call(kWholeModel, true);
}

TEST_CASE("if any call fails while an adapter is trained, no saved progress is lost", "[app][faults][fine-tuning]") {
  fail_each_call(kAdapterOnly, false);
}

TEST_CASE("if any call fails while an adapter is trained, a resumed run loses nothing", "[app][faults][fine-tuning]") {
  fail_each_call(kAdapterOnly, true);
}

#endif
