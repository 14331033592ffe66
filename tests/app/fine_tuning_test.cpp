#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "app/fault_programs.h"
#include "app/program.h"
#include "app/small_model.h"
#include "app/small_run.h"
#include "support/catch.h"

// Runs that train an adapter or a part of a model. The small model has 2 layers: with baked weights, all of its kernels
// are 5 * 2 + 1 compiles.

namespace {

using namespace cli_test;
namespace fs = std::filesystem;

// One batch slot, as on the engine: whether products are divided among threads changes bits with some BLAS.
const Words kFineTuningRun = {"--model",
                              "model",
                              "--seq",
                              "32",
                              "--vocab",
                              "256",
                              "--lr",
                              "0.003",
                              "--steps",
                              "14",
                              "--threads",
                              "2",
                              "--parallel-sequences",
                              "1",
                              "--accum-steps",
                              "2",
                              "--checkpoint-dir",
                              "out",
                              "--log-every",
                              "1",
                              "--val-samples",
                              "2"};
const Words kLora = kFineTuningRun + Words{"--lora", "3"};
const Words kFreeze = kFineTuningRun + Words{"--freeze", "*.embed_tokens.*,model.layers.0.*"};
const std::string kFineTunedCheckpoint = "out/step-00000014/";

/// A folder with a model "model" in BF16.
class ModelFolder : public Folder {
 public:
  ModelFolder() { write_small_model(path() / "model", small_config(), "BF16"); }
};

Result fine_tune(const ModelFolder& folder, const Words& settings, const Words& environment = {},
                 const std::string& device = "host") {
  const Words all = settings + Words{"--device", device};
  return Program(all, environment + Words{"STANDIN_THREADS=2"}, folder.path(), program_of(device)).wait();
}

/// What the run's last checkpoint contains of training.
std::string trained_in(const Folder& folder, const std::string& file) {
  std::string all;
  for (const std::string& name :
       {file, std::string("first_moment.safetensors"), std::string("second_moment.safetensors")}) {
    const std::string bytes = read_file(folder / (kFineTunedCheckpoint + name));
    REQUIRE_FALSE(bytes.empty());
    all += bytes;
  }
  return all;
}

struct Kind {
  std::string name;
  Words settings;
  std::string file;  ///< of a checkpoint
};

const std::vector<Kind> kKinds = {{"adapter", kLora, "adapter_model.safetensors"},
                                  {"frozen layer", kFreeze, "model.safetensors"}};

}  // namespace

TEST_CASE("fine-tuning gives the same bits in every process, on every device", "[app][fine-tuning]") {
  for (const auto& [name, settings, file] : kKinds) {
    for (const char* weights : {"baked", "dynamic"}) {
      const Words run = settings + Words{"--weights", weights};
      const ModelFolder reference;
      REQUIRE(fine_tune(reference, run).code == 0);
      const std::string expected = trained_in(reference, file);
      for (const std::string& device : devices()) {
        CAPTURE(name, weights, device);
        const ModelFolder folder;
        const Result result = fine_tune(folder, run, {"ANE_MAX_COMPILES=16"}, device);
        CAPTURE(result.out, result.err);
        REQUIRE(result.code == 0);
        CHECK(trained_in(folder, file) == expected);
      }
    }
  }
}

TEST_CASE("an adapter's kernels are compiled once, a frozen layer's too", "[app][fine-tuning]") {
  for (const std::string& device : devices()) {
    CAPTURE(device);
    const ModelFolder lora;
    const Result result = fine_tune(lora, kLora, {"ANE_MAX_COMPILES=11"}, device);
    CHECK(result.code == 0);
    CHECK(count(result.out, "[exec() restart") == 0);
    CHECK_THAT(result.out, ANE_CONTAINS("(1 training round)") && ANE_CONTAINS("Compiled 11 kernels"));
    const ModelFolder frozen;
    const Result partly = fine_tune(frozen, kFreeze, {"ANE_MAX_COMPILES=16"}, device);
    CHECK(partly.code == 0);
    CHECK_THAT(partly.out, ANE_CONTAINS("Compiled 11 kernels") && ANE_CONTAINS("Compiled 5 kernels"));
    CHECK(count(partly.out, "[exec() restart") >= 2);
  }
}

TEST_CASE("a resumed fine-tuning run ends like an undisturbed one", "[app][fine-tuning][resume]") {
  for (const auto& [name, settings, file] : kKinds) {
    CAPTURE(name);
    const ModelFolder undisturbed;
    REQUIRE(fine_tune(undisturbed, settings).code == 0);
    const ModelFolder folder;
    REQUIRE(fine_tune(folder, with(settings, "--steps", "6")).code == 0);
    const Result resumed =
        run({"--checkpoint-dir", "out", "--resume", "--steps", "14", "--threads", "2", "--parallel-sequences", "1"}, {},
            folder.path());
    CAPTURE(resumed.out, resumed.err);
    REQUIRE(resumed.code == 0);
    CHECK(trained_in(folder, file) == trained_in(undisturbed, file));
  }
}

TEST_CASE("with Muon, an adapter is trained by AdamW and the run says so", "[app][fine-tuning]") {
  const ModelFolder folder;
  const Result adamw = fine_tune(folder, kLora);
  REQUIRE(adamw.code == 0);
  const std::string expected = trained_in(folder, "adapter_model.safetensors");
  fs::rename(folder / "out", folder / "of_adamw");
  const Result muon = fine_tune(folder, kLora + Words{"--optimizer", "muon"});
  CAPTURE(muon.out, muon.err);
  REQUIRE(muon.code == 0);
  CHECK(count(muon.err, "--optimizer muon is the same as adamw here") == 1);
  CHECK(count(adamw.err, "--optimizer muon") == 0);
  CHECK((trained_in(folder, "adapter_model.safetensors") == expected));
}

TEST_CASE("a frozen model that was moved away is still read", "[app][fine-tuning]") {
  const ModelFolder undisturbed;
  REQUIRE(fine_tune(undisturbed, kFreeze).code == 0);
  const ModelFolder folder;
  Program program(kFreeze, {"ANE_TRAIN_FAULT=run:*=delay:2ms", "ANE_MAX_COMPILES=11"}, folder.path(),
                  program_of("host"));
  REQUIRE(program.wait_for("step 2 "));
  fs::remove_all(folder.path() / "model");
  const Result result = program.wait();
  CAPTURE(result.out, result.err);
  REQUIRE(result.code == 0);
  CHECK(count(result.out, "[exec() restart") >= 2);
  CHECK(trained_in(folder, "model.safetensors") == trained_in(undisturbed, "model.safetensors"));
}

TEST_CASE("a frozen model that is changed during the run is an error, and nothing is lost",
          "[app][fine-tuning][errors]") {
  const bool is_cut = GENERATE(true, false);
  const bool is_adapter = GENERATE(true, false);
  const Words settings = is_adapter ? kLora : kFreeze;
  const ModelFolder undisturbed;
  REQUIRE(fine_tune(undisturbed, settings).code == 0);
  const ModelFolder folder;
  Program program(settings, {"ANE_TRAIN_FAULT=run:*=delay:2ms", "ANE_MAX_COMPILES=11"}, folder.path(),
                  program_of("host"));
  REQUIRE(program.wait_for("step 4 "));
  const fs::path model = folder.path() / "model/model.safetensors";
  fs::copy_file(model, folder.path() / "kept");
  if (is_cut) {
    fs::resize_file(model, 1000);
  } else {
    fs::last_write_time(model, fs::last_write_time(model) + std::chrono::hours(1));
  }
  const Result result = program.wait();
  CAPTURE(is_cut, is_adapter, result.out, result.err);
  CHECK(result.code == 3);
  CHECK_THAT(result.err, ANE_CONTAINS("model.safetensors") && ANE_CONTAINS("was changed during the run") &&
                             ANE_CONTAINS("Progress saved at step"));

  // With the model as it was, the run ends like one that was not disturbed.
  fs::rename(folder.path() / "kept", model);
  const Result resumed = fine_tune(folder, settings + Words{"--resume"});
  CAPTURE(resumed.err);
  REQUIRE(resumed.code == 0);
  const std::string file = is_adapter ? "adapter_model.safetensors" : "model.safetensors";
  CHECK(trained_in(folder, file) == trained_in(undisturbed, file));
}

TEST_CASE("a checkpoint of an adapter is a directory of PEFT", "[app][fine-tuning]") {
  const ModelFolder folder;
  REQUIRE(fine_tune(folder, kLora + Words{"--lora-alpha", "9", "--lora-rs", "--lora-targets",
                                          "q_proj,model.layers.1.mlp.down_proj"})
              .code == 0);
  const nlohmann::json config =
      nlohmann::json::parse(read_file(folder / (kFineTunedCheckpoint + "adapter_config.json")));
  CHECK(config.at("peft_type") == "LORA");
  CHECK(config.at("r") == 3);
  CHECK(config.at("lora_alpha") == 9);
  CHECK(config.at("use_rslora") == true);
  const auto tensors = tensor_bytes(folder / (kFineTunedCheckpoint + "adapter_model.safetensors"));
  CHECK(tensors.size() == 6);
  CHECK(tensors.contains("base_model.model.model.layers.1.mlp.down_proj.lora_B.weight"));
  CHECK_FALSE(fs::exists(folder / (kFineTunedCheckpoint + "config.json")));

  // It starts another run, which takes its settings from there.
  const Result next =
      fine_tune(folder, with(kFineTuningRun, "--checkpoint-dir", "next") + Words{"--lora", kFineTunedCheckpoint});
  CAPTURE(next.err);
  CHECK(next.code == 0);
  const nlohmann::json again = nlohmann::json::parse(read_file(folder / "next/step-00000014/adapter_config.json"));
  CHECK(again.at("lora_alpha") == 9);
  CHECK(tensor_bytes(folder / "next/step-00000014/adapter_model.safetensors").size() == 6);
}

TEST_CASE("a checkpoint of a partly frozen model is a whole model", "[app][fine-tuning]") {
  const ModelFolder folder;
  REQUIRE(fine_tune(folder, kFreeze).code == 0);
  REQUIRE(run({"export", "--model", "model", "--format", "hf", "--dtype", "f32", "--out", "start"}, {}, folder.path())
              .code == 0);
  const auto before = tensor_bytes(folder / "start/model.safetensors");
  const auto after = tensor_bytes(folder / (kFineTunedCheckpoint + "model.safetensors"));
  REQUIRE(before.size() == after.size());
  for (const auto& [name, bytes] : before) {
    const bool is_frozen = name.find("embed_tokens") != std::string::npos || name.starts_with("model.layers.0.");
    CAPTURE(name);
    CHECK((bytes == after.at(name)) == is_frozen);
  }
  CHECK_FALSE(
      tensor_bytes(folder / (kFineTunedCheckpoint + "first_moment.safetensors")).contains("model.embed_tokens.weight"));
}

TEST_CASE("settings of fine-tuning that contradict each other are one clear error", "[app][fine-tuning][errors]") {
  struct Row {
    Words settings;
    std::string message;
  };
  const auto row = GENERATE(
      values<Row>({{{"--lora", "0"}, "expected a whole number from 1"},
                   {{"--lora", "-1"}, "--lora"},
                   {{"--lora", "100000"}, "from 1 to 64"},
                   {{"--lora", "nowhere"}, "'nowhere' is neither a rank nor the directory of an adapter"},
                   {{"--lora", "model"}, "adapter_config.json"},
                   {{"--lora", "2", "--freeze", "*"}, "omit --freeze"},
                   {{"--lora", "2", "--pipeline", "--weights", "baked"}, "omit --pipeline"},
                   {{"--lora", "2", "--lora-targets", "lm_head"}, "lm_head"},
                   {{"--lora", "2", "--lora-targets", "model.layers.7.mlp.up_proj"}, "model.layers.7.mlp.up_proj"},
                   {{"--lora", "2", "--lora-targets", "q_proj,,k_proj"}, "empty name"},
                   {{"--lora-alpha", "3"}, "add --lora RANK"},
                   {{"--lora", "2", "--lora-alpha", "nan"}, "--lora-alpha"},
                   {{"--freeze", "nothing.*"}, "no parameter of the model matches 'nothing.*'"},
                   {{"--freeze", "*"}, "nothing is left to train"}}));
  CAPTURE(row.settings);
  const ModelFolder folder;
  const Result result = run(kFineTuningRun + row.settings, {}, folder.path());
  CHECK((result.code == 2 || result.code == 3));
  CHECK_THAT(result.err, ANE_CONTAINS(row.message));
  CHECK(result.out.empty());
  CHECK_FALSE(fs::exists(folder / "out"));
}

TEST_CASE("fine-tuning needs a model, and resuming it the same one", "[app][fine-tuning][errors]") {
  const Result result = run(kSmall + Words{"--steps", "2", "--lora", "2"});
  CHECK(result.code == 2);
  CHECK_THAT(result.err, ANE_CONTAINS("--lora needs --model"));

  const ModelFolder folder;
  REQUIRE(fine_tune(folder, kLora).code == 0);
  const Words resume = {"--checkpoint-dir", "out", "--resume", "--steps", "20"};
  const Result rank = run(resume + Words{"--lora", "4"}, {}, folder.path());
  CHECK(rank.code == 2);
  CHECK_THAT(rank.err, ANE_CONTAINS("has another adapter") && ANE_CONTAINS("rank 3") && ANE_CONTAINS("rank 4"));
  write_small_model(folder.path() / "model", small_config(), "F32");
  const Result other = run(resume, {}, folder.path());
  CHECK(other.code == 2);
  CHECK_THAT(other.err, ANE_CONTAINS("was fine-tuned from another model"));
}
