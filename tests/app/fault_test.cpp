#include <filesystem>
#include <string>
#include <vector>

#include "ane/model/safetensors.h"
#include "ane/train/checkpoint.h"

#include "app/program.h"
#include "app/small_run.h"
#include "support/catch.h"

/// Runs with a misbehaving device (tests/faults/fault_device.h). A step of the small model has 6 kernel runs, an update
/// 2 steps, the validation at the end 4 runs.
namespace {

using namespace cli_test;
namespace fs = std::filesystem;

const Words kFaultRun = kSmall + Words{"--steps", "8", "--checkpoint-dir", "c", "--checkpoint-every", "1"};

Words fault(const std::string& plan, int max_compiles = 1000000) {
  return {"ANE_TRAIN_FAULT=" + plan, "ANE_MAX_COMPILES=" + std::to_string(max_compiles)};
}

std::string learnt_in(const fs::path& checkpoint) {
  return read_file(checkpoint / "model.safetensors") + read_file(checkpoint / "first_moment.safetensors") +
         read_file(checkpoint / "second_moment.safetensors");
}

/// The parameters after 8 undisturbed steps.
const std::string& undisturbed() {
  static const std::string learnt = [] {
    const Folder folder;
    REQUIRE(run(kFaultRun, {}, folder.path()).code == 0);
    return learnt_in(folder / "c/step-00000008");
  }();
  return learnt;
}

std::vector<float> values_of(const ane::model::SafetensorsFile& file, const std::string& name) {
  const auto& tensor = file.tensors().at(name);
  std::vector<float> values(tensor.size_bytes / sizeof(float));
  file.read(name, tensor.shape, values);
  return values;
}

bool same_tensors(const fs::path& a, const fs::path& b) {
  const ane::model::SafetensorsFile left(a);
  const ane::model::SafetensorsFile right(b);
  for (const auto& [name, tensor] : left.tensors()) {
    if (!right.tensors().contains(name) || values_of(left, name) != values_of(right, name)) return false;
  }
  return left.tensors().size() == right.tensors().size();
}

}  // namespace

TEST_CASE("a transient fault does not change the parameters", "[app][fault]") {
  struct Row {
    Words environment;
    std::string message;  ///< on standard error
    bool restarts;
  };
  const Row row = GENERATE(values<Row>({
      {fault("compile:3@1"), "is retried in a fresh process", true},
      {fault("compile:1@2", 6), "is retried in a fresh process", true},
      {fault("compile:8"), "compile 8 of this process fails as planned", true},  // the second round of every process
      {fault("budget:6"), "6 were allowed", true},
      {fault("budget:13"), "13 were allowed", true},
      {fault("run:*=delay:1ms,compile:2=delay:5ms"), "", false},
      {fault("run:50=nan"), "validation after update 4 overflowed", false},
  }));
  CAPTURE(row.environment);
  const Folder folder;
  const Result result = run(kFaultRun, row.environment, folder.path(), ANE_TRAIN_FAULTS);
  CAPTURE(result.out, result.err);
  REQUIRE(result.code == 0);
  CHECK_THAT(result.err, ANE_CONTAINS(row.message));
  CHECK((count(result.out, "[exec() restart") > 0) == row.restarts);
  CHECK(learnt_in(folder / "c/step-00000008") == undisturbed());
}

TEST_CASE("a permanent fault ends with one error, and resuming leads to the same parameters", "[app][fault]") {
  struct Row {
    Words environment;
    int code;
    std::string message;
    int learnt;  ///< step of the newest checkpoint
  };
  const Row row = GENERATE(values<Row>({
      {fault("compile:*"), 4, "did not compile: compile 1 of this process fails as planned; its MIL is in", 0},
      {fault("compile:6"), 4, "did not compile: compile 6 of this process fails as planned", 0},
      {fault("budget:5"), 4, "5 were allowed", 0},
      {fault("compile:1@2,compile:5@3", 6), 4, "compile 5 of this process fails as planned", 2},
      {fault("run:1"), 4, "run 1 of this process fails as planned", 0},
      {fault("run:30"), 4, "run 30 of this process fails as planned", 4},
      {fault("run:12@3", 6), 4, "run 12 of this process fails as planned", 4},
      {fault("open:1@3", 6), 4, "the device does not open, as planned", 4},
      {fault("run:50"), 4, "run 50 of this process fails as planned", 8},  // in the validation
      {fault("run:*=nan"), 5, "3 updates in a row were skipped", 0},
      {fault("run:*@2=nan", 6), 5, "The last good state is that of step 2", 2},
      {fault("run:*@2=huge", 6), 5, "the limit is", 2},
  }));
  CAPTURE(row.environment);
  const Folder folder;
  const Words settings = kFaultRun + Words{"--give-up-after", "3"};
  const Result result = run(settings, row.environment, folder.path(), ANE_TRAIN_FAULTS);
  CAPTURE(result.out, result.err);
  CHECK(result.code == row.code);
  CHECK(count(result.err, "ane-train: ") == 1);
  CHECK_THAT(result.err, ANE_CONTAINS(row.message));
  if (row.learnt == 0) {
    CHECK_THAT(result.err, ANE_CONTAINS("There was no progress to save."));
    CHECK(ane::train::checkpoints_in(folder / "c").empty());
    return;
  }
  CHECK_THAT(result.err, ANE_CONTAINS("Progress saved at step " + std::to_string(row.learnt)));
  const Result resumed = run(settings + Words{"--resume"}, {}, folder.path());
  CAPTURE(resumed.out, resumed.err);
  REQUIRE(resumed.code == 0);
  const bool is_complete = row.learnt == 8;
  CHECK_THAT(is_complete ? resumed.err : resumed.out,
             ANE_CONTAINS(is_complete ? "nothing is left to train: the checkpoint is of step 8"
                                      : "[RESUMED step " + std::to_string(row.learnt) + ","));
  CHECK(learnt_in(folder / "c/step-00000008") == undisturbed());
}

TEST_CASE("an update with a non-finite value changes only the loss scale", "[app][fault]") {
  const std::string plan = GENERATE(as<std::string>(), "run:13=nan", "run:16=nan", "run:24=nan", "run:20=huge");
  CAPTURE(plan);
  const Folder folder;
  // The second update is the last, so both checkpoints exist.
  const Result result = run(kSmall + Words{"--steps", "4", "--checkpoint-dir", "c", "--checkpoint-every", "1"},
                            fault(plan), folder.path(), ANE_TRAIN_FAULTS);
  CAPTURE(result.out, result.err);
  REQUIRE(result.code == 0);
  CHECK_THAT(result.err, ANE_CONTAINS("update 2 skipped: ") && ANE_CONTAINS("the loss scale is now 512"));
  for (const char* file : {"model.safetensors", "first_moment.safetensors", "second_moment.safetensors"}) {
    CAPTURE(file);
    CHECK(same_tensors(fs::path(folder / "c/step-00000002") / file, fs::path(folder / "c/step-00000004") / file));
  }
}

TEST_CASE("an invalid fault plan is refused", "[app][fault]") {
  const std::string plan =
      GENERATE(as<std::string>(), "", "compile", "compile:0", "compile:x", "run:1,", "run:1@0", "run:1=slow",
               "compile:1=nan", "run:1=delay:5", "run:1=delay:5s", "budget:0", "budget:1,budget:2", "run:1 ");
  CAPTURE(plan);
  const Result result = run({"--steps", "1"}, {"ANE_TRAIN_FAULT=" + plan}, ".", ANE_TRAIN_FAULTS);
  CHECK(result.code == 2);
  CHECK_THAT(result.err, ANE_CONTAINS("ANE_TRAIN_FAULT: fault '") && ANE_CONTAINS("is not compile:K, run:K or open:K"));
}

TEST_CASE("the shipped program ignores planned faults", "[app][fault]") {
  const Result result = run(kSmall + Words{"--steps", "2"}, fault("compile:*"));
  CAPTURE(result.err);
  CHECK(result.code == 0);
  CHECK(read_file(ANE_TRAIN_FAULTS).find("fails as planned") != std::string::npos);
  CHECK(read_file(ANE_TRAIN_PROGRAM).find("fails as planned") == std::string::npos);
}
