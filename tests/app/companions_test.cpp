#include "ane/model/companions.h"

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <string>

#include <nlohmann/json.hpp>

#include "app/program.h"
#include "app/small_model.h"
#include "app/small_run.h"
#include "support/catch.h"

using namespace cli_test;
namespace fs = std::filesystem;

namespace {

const Words kTraining = {"--device",
                         "host",
                         "--model",
                         "model",
                         "--data",
                         "text.txt",
                         "--seq",
                         "16",
                         "--accum-steps",
                         "2",
                         "--threads",
                         "1",
                         "--lr",
                         "0.001",
                         "--checkpoint-dir",
                         "c",
                         "--val-samples",
                         "2",
                         "--output",
                         "dashboard",
                         "--log-every",
                         "1",
                         "--keep-checkpoints",
                         "1"};

void write_text(const Folder& folder) {
  std::string text;
  for (int i = 0; i < 40; ++i) text += "The quick brown fox jumps over the lazy dog. ";
  write_file(folder / "text.txt", text);
}

/// The entries of config.json that ane-train does not use, and the tokenizer, are those of the model.
void check_kept(const Folder& folder, const std::string& checkpoint) {
  CAPTURE(checkpoint);
  CHECK(read_file(folder / (checkpoint + "/tokenizer.json")) == kTokenizer);
  CHECK(read_file(folder / (checkpoint + "/tokenizer.model")) == kSentencePiece);
  CHECK_FALSE(fs::exists(folder / (checkpoint + "/README.md")));
  CHECK(nlohmann::json::parse(read_file(folder / (checkpoint + "/config.json"))) == small_config());
}

}  // namespace

TEST_CASE("checkpoints keep the tokenizer and the entries of config.json, across restarts", "[app][companions]") {
  const Folder folder;
  write_text(folder);
  write_small_model(folder / "model");
  const Result result = run(kTraining + Words{"--steps", "12"}, {"ANE_MAX_COMPILES=20"}, folder.path());
  CAPTURE(result.out, result.err);
  REQUIRE(result.code == 0);
  REQUIRE(count(result.out, "[exec() restart") > 1);
  check_kept(folder, "c/step-00000012");
}

TEST_CASE("the model's directory is not needed after the start of a run", "[app][companions]") {
  const Folder folder;
  write_text(folder);
  write_small_model(folder / "model");
  Program program(kTraining + Words{"--steps", "12"}, {"ANE_MAX_COMPILES=20"}, folder.path());
  REQUIRE(program.wait_for("step 1 "));
  fs::remove_all(folder / "model");
  const Result result = program.wait();
  CAPTURE(result.out, result.err);
  REQUIRE(result.code == 0);
  check_kept(folder, "c/step-00000012");

  const Result resumed =
      run({"--checkpoint-dir", "c", "--resume", "--steps", "20", "--keep-checkpoints", "1", "--device", "host"},
          {"ANE_MAX_COMPILES=20"}, folder.path());
  CAPTURE(resumed.out, resumed.err);
  REQUIRE(resumed.code == 0);
  check_kept(folder, "c/step-00000020");
  CHECK_FALSE(fs::exists(folder / "c/step-00000012"));

  // An export has them too, with the length that the model supports, not the one it was trained with.
  REQUIRE(run({"export", "--model", "c/step-00000020", "--format", "hf", "--out", "out"}, {}, folder.path()).code == 0);
  check_kept(folder, "out");
  CHECK(tensor_bytes(folder / "out/model.safetensors") == tensor_bytes(folder / "c/step-00000020/model.safetensors"));
}

TEST_CASE("a rescue checkpoint keeps the tokenizer", "[app][companions]") {
  const Folder folder;
  write_text(folder);
  write_small_model(folder / "model");
  Words arguments = kTraining;
  arguments.erase(std::find(arguments.begin(), arguments.end(), "--checkpoint-dir"),
                  std::next(std::find(arguments.begin(), arguments.end(), "--checkpoint-dir"), 2));
  Program program(arguments + Words{"--steps", "100000"}, {}, folder.path());
  REQUIRE(program.wait_for("step 4 "));
  program.send(SIGTERM);
  const Result result = program.wait();
  CAPTURE(result.err);
  REQUIRE(result.code == 128 + SIGTERM);
  const fs::directory_iterator found(folder / "ane-train-checkpoint");
  check_kept(folder, "ane-train-checkpoint/" + found->path().filename().string());
}

TEST_CASE("unusable companion files end a run before it trains", "[app][companions]") {
  const Folder folder;
  write_text(folder);
  const auto refused = [&](const char* fault) {
    const Result result = run(kTraining + Words{"--steps", "2"}, {}, folder.path());
    CAPTURE(fault, result.err);
    CHECK(result.code == 3);
    CHECK_THAT(result.err, ANE_CONTAINS(fault));
    CHECK(count(result.out, "step ") == 0);
    fs::remove_all(folder / "model");
    fs::remove_all(folder / "c");
  };
  write_small_model(folder / "model");
  fs::resize_file(folder / "model/tokenizer.json", (std::uintmax_t{128} << 20U) + 1);
  refused("tokenizer.json: it has 134217729 bytes");
  write_small_model(folder / "model");
  fs::remove(folder / "model/tokenizer.model");
  fs::create_directories(folder / "model/tokenizer.model");
  refused("tokenizer.model");
}
