#include <csignal>
#include <filesystem>
#include <regex>
#include <string>
#include <tuple>

#include "app/program.h"
#include "app/small_run.h"
#include "support/catch.h"

namespace {

using namespace cli_test;
namespace fs = std::filesystem;

const Words kSaving = kSmall + Words{"--checkpoint-dir", "c", "--checkpoint-every", "1"};

}  // namespace

TEST_CASE("a resumed run reports and applies changed settings", "[app][resume]") {
  const Folder folder;
  REQUIRE(run(kSaving + Words{"--steps", "4"}, {}, folder.path()).code == 0);
  const Result result =
      run(kSaving + Words{"--steps", "6", "--resume", "--warmup", "3", "--schedule", "cosine"}, {}, folder.path());
  CAPTURE(result.out, result.err);
  REQUIRE(result.code == 0);
  CHECK_THAT(result.out, ANE_CONTAINS("[RESUMED step 4, loss="));
  CHECK_THAT(result.err, ANE_CONTAINS("--steps is now 6; it was 4") && ANE_CONTAINS("--warmup is now 3; it was 0") &&
                             ANE_CONTAINS("--schedule is now cosine; it was constant"));
  CHECK(count(result.err, " is now ") == 3);
  CHECK(fs::exists(folder / "c/step-00000006"));

  const Result finished = run(kSaving + Words{"--steps", "6", "--resume", "--telemetry", "t"}, {}, folder.path());
  CHECK(finished.code == 0);
  CHECK_THAT(finished.err, ANE_CONTAINS("nothing is left to train: the checkpoint is of step 6, and --steps 6"));
  CHECK(finished.out.empty());
  CHECK(read_file(folder / "t").empty());
}

TEST_CASE("resuming needs nothing but the checkpoint directory", "[app][resume]") {
  const Folder folder;
  write_file(folder / "text.txt", std::string(4000, 'a'));
  const Words machine = {"--device", "host", "--threads", "1"};
  Words settings =
      kSmall + Words{"--data", "text.txt", "--schedule", "cosine", "--warmup", "2", "--weight-decay", "0.2"};
  settings = with(with(settings, "--vocab", "128"), "--lr", "0.002");
  Program program(settings + Words{"--steps", "100000", "--checkpoint-dir", "c"}, {}, folder.path());
  REQUIRE(program.wait_for("step 1 "));
  program.send(SIGTERM);
  REQUIRE(program.wait().code == 128 + SIGTERM);
  const Words resume = machine + Words{"--checkpoint-dir", "c", "--resume"};
  const std::string shown = run(resume + Words{"--print-config"}, {}, folder.path()).out;
  for (const char* row : {"steps +100000", "data +text.txt", "lr +0.002", "weight_decay +0.2", "vocab +128"})
    CHECK(std::regex_search(shown, std::regex(std::string("(^|\n)") + row + " +checkpoint c\n")));
  CHECK(std::regex_search(shown, std::regex("\ntelemetry +- +default\n")));

  Program again(resume, {}, folder.path());
  REQUIRE(again.wait_for("[RESUMED step "));
  again.send(SIGTERM);
  const Result resumed = again.wait();
  CAPTURE(resumed.out, resumed.err);
  CHECK(resumed.code == 128 + SIGTERM);
  CHECK(count(resumed.err, " is now ") == 0);
}

TEST_CASE("a run that is resumed without its settings ends with the same bits", "[app][resume]") {
  const Folder folder;
  using Row = std::tuple<Words, Words>;
  const auto [optimizer, slots] = GENERATE(values<Row>({
      {{}, {"first_moment", "second_moment"}},
      {{"--optimizer", "muon"}, {"momentum", "first_moment", "second_moment"}},
      {{"--optimizer", "lion"}, {"first_moment"}},
      {{"--optimizer", "sgd", "--momentum", "0.9"}, {"momentum"}},
      {{"--optimizer", "sgd"}, {}},
  }));
  CAPTURE(optimizer);
  const Words settings = with(kSmall, "--lr", "0.003") + Words{"--seed", "5", "--val-every", "1"} + optimizer;
  REQUIRE(run(settings + Words{"--steps", "8", "--checkpoint-dir", "whole"}, {}, folder.path()).code == 0);
  REQUIRE(run(settings + Words{"--steps", "4", "--checkpoint-dir", "c"}, {}, folder.path()).code == 0);
  const Words rest = {"--device", "host", "--threads", "1", "--checkpoint-dir", "c", "--resume", "--steps", "8"};
  const Result resumed = run(rest, {}, folder.path());
  CAPTURE(resumed.out, resumed.err);
  REQUIRE(resumed.code == 0);
  for (const std::string& name : slots + Words{"model"}) {
    const std::string file = name + ".safetensors";
    CAPTURE(file);
    CHECK((read_file(folder / ("c/step-00000008/" + file)) == read_file(folder / ("whole/step-00000008/" + file))));
  }
  std::size_t files = 0;
  for (const auto& entry : fs::directory_iterator(folder / "c/step-00000008"))
    if (entry.path().extension() == ".safetensors") ++files;
  CHECK(files == slots.size() + 1);
  CHECK(count(resumed.out, "[val update ") == 3);  // after the update that was saved, too
}

TEST_CASE("with --resume auto, the program starts a run or resumes it", "[app][resume]") {
  const Folder folder;
  const Words automatic = kSmall + Words{"--checkpoint-dir", "new/c", "--resume", "auto"};
  const Result first = run(automatic + Words{"--steps", "4"}, {}, folder.path());
  CAPTURE(first.out, first.err);
  REQUIRE(first.code == 0);
  CHECK(count(first.out, "[RESUMED step") == 0);
  CHECK(fs::exists(folder / "new/c/step-00000004"));
  const Result second = run(automatic + Words{"--steps", "6"}, {}, folder.path());
  CHECK(second.code == 0);
  CHECK_THAT(second.out, ANE_CONTAINS("[RESUMED step 4, loss="));
  const Result third = run(automatic + Words{"--steps", "6"}, {}, folder.path());
  CHECK(third.code == 0);
  CHECK_THAT(third.err, ANE_CONTAINS("nothing is left to train"));
}

TEST_CASE("a run whose time is over ends well and can be resumed", "[app][resume]") {
  const Folder folder;
  const Words limited = kSmall + Words{"--max-minutes", "0.03", "--telemetry", "t"};
  const Words restarting = {"ANE_MAX_COMPILES=6"};  // a process for each update
  const Result result = run(limited + Words{"--checkpoint-dir", "c"}, restarting, folder.path());
  CAPTURE(result.out, result.err);
  REQUIRE(result.code == 0);
  CHECK(count(result.err, "ended by --max-minutes 0.03 at step ") == 1);
  CHECK(count(result.out, "=== Efficiency Report ===") == 1);
  CHECK(count(result.out, "[exec() restart step ") > 0);
  const std::string telemetry = read_file(folder / "t");
  CHECK_THAT(telemetry,
             ANE_CONTAINS("\"steps\":null,\"max_minutes\":0.03") && ANE_CONTAINS("\"outcome\":\"out of time\""));

  const Words resume = {"--device", "host", "--threads", "1", "--checkpoint-dir", "c", "--resume"};
  const Result unlimited = run(resume, {}, folder.path());
  CHECK(unlimited.code == 2);
  CHECK_THAT(unlimited.err, ANE_CONTAINS("missing --steps N") && ANE_CONTAINS("--max-minutes M"));
  CHECK(count(unlimited.err, "ignoring") == 0);
  const Result resumed = run(resume + Words{"--max-minutes", "0.03"}, {}, folder.path());
  CAPTURE(resumed.out, resumed.err);
  CHECK(resumed.code == 0);
  CHECK_THAT(resumed.out, ANE_CONTAINS("[RESUMED step "));
  CHECK_THAT(resumed.err, ANE_CONTAINS("ended by --max-minutes 0.03 at step "));
}

TEST_CASE("a run that ends for lack of time without a checkpoint directory writes a rescue checkpoint", "[app]") {
  const Folder folder;
  const Result result =
      run(kSmall + Words{"--max-minutes", "0.03", "--steps", "1000000", "--output", "plain"}, {}, folder.path());
  CAPTURE(result.out, result.err);
  CHECK(result.code == 0);
  CHECK(fs::exists(folder / "ane-train-checkpoint"));
  CHECK_THAT(result.err, ANE_CONTAINS("--checkpoint-dir ane-train-checkpoint --resume"));
  CHECK_THAT(result.out, ANE_CONTAINS(", at most 0.03 min; AdamW") && ANE_CONTAINS("update 1/500000 "));
  const Result endless = run(kSmall + Words{"--max-minutes", "0.03", "--output", "plain"}, {}, folder.path());
  CHECK(endless.code == 0);
  CHECK_THAT(endless.out, ANE_CONTAINS("update 1 | "));
  CHECK(count(endless.out, " left") == 0);
}

TEST_CASE("keeping the best checkpoint needs data for a validation loss", "[app][resume]") {
  const Folder folder;
  write_file(folder / "tokens.bin", std::string(4000, '\0'));
  const Result refused = run(kSmall + Words{"--steps", "4", "--data", "tokens.bin", "--checkpoint-dir", "c",
                                            "--val-every", "1", "--keep-best"},
                             {}, folder.path());
  CAPTURE(refused.out, refused.err);
  CHECK(refused.code == 2);
  CHECK_THAT(refused.err, ANE_CONTAINS("--keep-best needs held-out data"));
}

TEST_CASE("a damaged checkpoint is reported and the previous one used, or an error if there is none", "[app][resume]") {
  const Folder folder;
  REQUIRE(run(kSaving + Words{"--steps", "4"}, {}, folder.path()).code == 0);
  fs::resize_file(folder / "c/step-00000004/first_moment.safetensors", 100);
  const Words resuming = kSaving + Words{"--steps", "6", "--resume"};
  const Result result = run(resuming, {}, folder.path());
  CAPTURE(result.out, result.err);
  REQUIRE(result.code == 0);
  CHECK_THAT(result.err, ANE_CONTAINS("c/step-00000004/first_moment.safetensors: 100 bytes long, but it was written") &&
                             ANE_CONTAINS("resuming from c/step-00000002"));
  CHECK_THAT(result.out, ANE_CONTAINS("[RESUMED step 2, loss="));
  CHECK(fs::exists(folder / "c/damaged-step-00000004"));

  for (const auto& entry : fs::directory_iterator(folder / "c"))
    if (entry.is_directory()) fs::remove(entry.path() / "trainer.json");
  const Result refused = run(resuming, {}, folder.path());
  CHECK(refused.code == 3);
  CHECK_THAT(refused.err, ANE_CONTAINS("none is usable"));
}

TEST_CASE("a different model or different data are refused, and the checkpoint stays", "[app][resume]") {
  const Folder folder;
  REQUIRE(run(kSaving + Words{"--steps", "2"}, {}, folder.path()).code == 0);
  const auto refused = [&](const Words& more) {
    const Result result = run(kSaving + Words{"--steps", "6", "--resume"} + more, {}, folder.path());
    CHECK(result.code == 2);
    return result.err;
  };
  CHECK_THAT(refused({"--kv-heads", "1"}),
             ANE_CONTAINS("of another model") && ANE_CONTAINS("num_key_value_heads: 2 and 1"));
  CHECK_THAT(refused({"--untied"}), ANE_CONTAINS("of another model"));
  CHECK_THAT(refused({"--seed", "7"}), ANE_CONTAINS("of another data set or order"));
  CHECK_THAT(refused({"--optimizer", "sgd"}), ANE_CONTAINS("'first_moment', 'second_moment'"));
  CHECK(run(kSaving + Words{"--steps", "6", "--resume"}, {}, folder.path()).code == 0);
}

TEST_CASE("a checkpoint directory in use is refused to another run, across re-executions", "[app][resume]") {
  const Folder folder;
  Program program(kSaving + Words{"--steps", "1000000", "--log-every", "1"}, {"ANE_MAX_COMPILES=6"}, folder.path());
  REQUIRE(program.wait_for("[RESUMED step 6,"));
  for (const bool resumes : {false, true}) {
    const Result other =
        run(kSaving + Words{"--steps", "6"} + (resumes ? Words{"--resume"} : Words{}), {}, folder.path());
    CAPTURE(resumes, other.err);
    CHECK(other.code == 2);
    CHECK_THAT(other.err, ANE_CONTAINS("process " + std::to_string(program.pid()) + " writes its checkpoints here"));
  }
  program.send(SIGTERM);
  CHECK(program.wait().code == 128 + SIGTERM);
  CHECK(run(kSaving + Words{"--steps", "6", "--resume"}, {}, folder.path()).code == 0);
}
