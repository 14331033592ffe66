#include <algorithm>
#include <cmath>
#include <csignal>
#include <iterator>
#include <span>
#include <string>
#include <vector>

#include "ane/model/safetensors.h"

#include "app/fault_programs.h"
#include "app/program.h"
#include "app/small_run.h"
#include "support/catch.h"
#include "support/sanitized.h"

// All weight modes, through the command line.

namespace {

using namespace cli_test;
namespace fs = std::filesystem;

const Words kCommon = {"--vocab",       "64", "--seq",         "32", "--threads", "1", "--lr", "0.003",
                       "--accum-steps", "2",  "--val-samples", "2",  "--steps",   "14"};
const std::string kModeCheckpoint = "out/step-00000014/";

struct NamedModel {
  std::string name;
  Words dimensions;
};

const std::vector<NamedModel> kModels = {
    {"several KV groups", {"--dim", "64", "--hidden", "96", "--layers", "2", "--heads", "4", "--kv-heads", "2"}},
    {"biases and an own classifier",
     {"--family", "qwen2", "--dim", "32", "--hidden", "64", "--layers", "1", "--heads", "2", "--untied"}},
    {"QK-norm and no multiple of 16",
     {"--family", "qwen3", "--dim", "40", "--hidden", "72", "--layers", "2", "--heads", "2", "--head-dim", "24"}},
    {"no multiple of 8", {"--dim", "36", "--hidden", "50", "--layers", "1", "--heads", "6", "--kv-heads", "3"}},
};

/// A subset with sanitizers, with which all of them take minutes.
std::span<const NamedModel> models() { return std::span(kModels).last(kSanitized ? 1 : kModels.size()); }

const std::vector<std::string> kPlans = {"split", "merged"};

struct TrainedModel {
  Result result;
  std::string parameters;
  std::vector<float> values;
};

std::vector<float> values_in(const fs::path& safetensors) {
  const ane::model::SafetensorsFile file(safetensors);
  std::vector<float> all;
  for (const auto& [name, tensor] : file.tensors()) {
    std::vector<float> values(tensor.size_bytes / sizeof(float));
    file.read(name, tensor.shape, values);
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

/// Fixed, because sums depend on the number of threads.
Words with_one_thread(Words environment) {
  environment.emplace_back("STANDIN_THREADS=1");
  return environment;
}

/// Runs to the end, on the host or the stand-in framework, and reads the parameters.
TrainedModel train_in_mode(const std::string& device, const Words& settings, const Words& environment = {}) {
  const Folder folder;
  const Words all = kCommon + settings + Words{"--device", device, "--checkpoint-dir", "out"};
  TrainedModel trained{Program(all, with_one_thread(environment), folder.path(), program_of(device)).wait(), {}, {}};
  CAPTURE(all, environment, trained.result.out, trained.result.err);
  REQUIRE(trained.result.code == 0);
  const std::string file = folder / (kModeCheckpoint + "model.safetensors");
  trained.parameters = read_file(file);
  REQUIRE_FALSE(trained.parameters.empty());
  trained.values = values_in(file);
  return trained;
}

/// Frobenius norm of the difference, relative to that of `expected`.
double relative_error(const TrainedModel& found, const TrainedModel& expected) {
  REQUIRE(found.values.size() == expected.values.size());
  double difference = 0;
  double norm = 0;
  for (std::size_t i = 0; i < found.values.size(); ++i) {
    difference += std::pow(double{found.values[i]} - double{expected.values[i]}, 2);
    norm += std::pow(double{expected.values[i]}, 2);
  }
  return std::sqrt(difference / norm);
}

}  // namespace

TEST_CASE("all weight modes learn the same, with every plan, on every device", "[app][modes]") {
  for (const NamedModel& model : models()) {
    const TrainedModel reference = train_in_mode("host", model.dimensions);
    for (const std::string& plan : kPlans) {
      const Words settings = model.dimensions + Words{"--plan", plan};
      const TrainedModel baked = train_in_mode("host", settings);
      const TrainedModel dynamic = train_in_mode("host", settings + Words{"--weights", "dynamic"});
      CAPTURE(model.name, plan);
      // Kernels that store other tensors or sum in another order differ by fp16 rounding, about 5e-4 each, which
      // AdamW's division by small roots magnifies.
      CHECK(relative_error(baked, reference) <= 5e-3);
      CHECK(relative_error(dynamic, baked) <= 5e-3);
      for (const std::string& device : devices()) {
        CAPTURE(device);
        const TrainedModel cut = train_in_mode(device, settings, {"ANE_MAX_COMPILES=12"});
        CHECK(cut.parameters == baked.parameters);
        CHECK(count(cut.result.out, "[exec() restart") >= 2);

        const TrainedModel once = train_in_mode(device, settings, {"ANE_WEIGHTS=dynamic", "ANE_MAX_COMPILES=6"});
        CHECK(once.parameters == dynamic.parameters);
        CHECK_THAT(once.result.out, ANE_CONTAINS("(1 training round)") && !ANE_CONTAINS("[exec() restart"));
      }
    }
  }
}

TEST_CASE("a pipeline learns the same however it is divided into processes, on every device",
          "[app][modes][pipeline]") {
  for (const NamedModel& model : models()) {
    for (const std::string& plan : kPlans) {
      CAPTURE(model.name, plan);
      const Words settings = model.dimensions + Words{"--plan", plan};
      const TrainedModel whole = train_in_mode("host", settings + Words{"--pipeline"}, {"ANE_MAX_COMPILES=1000"});
      CHECK_FALSE(whole.parameters == train_in_mode("host", settings).parameters);  // it is stale by one update
      CHECK_THAT(whole.result.out, ANE_CONTAINS("stale by one update"));
      for (const std::string& device : devices()) {
        CAPTURE(device);
        const TrainedModel cut = train_in_mode(device, settings, {"ANE_MAX_COMPILES=22", "ANE_PIPELINE=true"});
        CHECK(cut.parameters == whole.parameters);
        CHECK(count(cut.result.out, "[exec() restart") >= 1);
      }
    }
  }
}

// With one layer, 6 kernels are compiled at first, and a batch has 12 runs. The first compile during the second batch
// waits until the batch's 2nd run has begun, and its 8th run waits for that compile.
TEST_CASE("a pipeline compiles while a batch runs", "[app][modes][pipeline]") {
  for (const std::string& device : devices()) {
    CAPTURE(device);
    const Words settings = kModels[1].dimensions + Words{"--pipeline"};
    const TrainedModel watched = train_in_mode(device, settings, {"ANE_TRAIN_FAULT=compile:7=await:14,run:20=await:7"});
    CHECK(count(watched.result.out, "[exec() restart") == 0);  // there would be one if a compile had waited in vain
    CHECK(watched.parameters == train_in_mode(device, settings).parameters);
  }
}

TEST_CASE("a killed and resumed pipeline learns the same as an undisturbed one", "[app][modes][resume]") {
  for (const std::string& device : devices()) {
    CAPTURE(device);
    const Words settings =
        kCommon + kModels[0].dimensions +
        Words{"--pipeline", "--device", device, "--checkpoint-dir", "out", "--checkpoint-every", "1"};
    const Words environment = with_one_thread({"ANE_MAX_COMPILES=22"});
    const Folder undisturbed;
    REQUIRE(Program(settings, environment, undisturbed.path(), program_of(device)).wait().code == 0);

    const Folder folder;
    {
      // Steps are slowed down so that the kill comes before the end.
      Program killed(settings, environment + Words{"ANE_TRAIN_FAULT=run:*=delay:5ms"}, folder.path(),
                     program_of(device));
      REQUIRE(killed.wait_for("[checkpoint step 6:"));
      killed.send(SIGKILL);
      REQUIRE(killed.wait().code == 128 + SIGKILL);
    }
    const Result resumed = Program(settings + Words{"--resume"}, environment, folder.path(), program_of(device)).wait();
    CAPTURE(resumed.out, resumed.err);
    REQUIRE(resumed.code == 0);
    CHECK(count(resumed.out, "[exec() restart") >= 1);
    for (const char* name : {"model", "running", "first_moment", "second_moment"}) {
      const std::string file = kModeCheckpoint + name + ".safetensors";
      CAPTURE(file);
      CHECK_FALSE(read_file(folder / file).empty());
      CHECK(read_file(folder / file) == read_file(undisturbed / file));
    }
  }
}

TEST_CASE("modes that exclude each other are refused", "[app][modes][errors]") {
  const std::string weights = GENERATE(as<std::string>(), "dynamic", "auto");
  const Result result = run(kCommon + Words{"--pipeline", "--weights", weights});
  CHECK(result.code == 2);
  CHECK_THAT(result.err, ANE_CONTAINS("--pipeline") && ANE_CONTAINS("--weights") && ANE_CONTAINS(weights));
}

#ifdef ANE_TRAIN_STANDIN
TEST_CASE("a sequence length that the engine would pad is refused in every mode with the rule's ID",
          "[app][modes][errors]") {
  const Words mode = GENERATE(Words{"--weights", "baked"}, Words{"--weights", "dynamic"}, Words{"--weights", "auto"},
                              Words{"--pipeline"});
  CAPTURE(mode);
  const Words settings = {"--steps", "2", "--seq", "20", "--device", "ane"};
  const Folder folder;
  const Result result = Program(settings + mode, {}, folder.path(), ANE_TRAIN_STANDIN).wait();
  CHECK(result.code == 4);
  CHECK_THAT(result.err, ANE_CONTAINS("A3 (wrong result)") && ANE_CONTAINS("widen it to 32"));
}

TEST_CASE("a pipeline that the engine cannot hold is refused with the remedy", "[app][modes][errors]") {
  const Folder folder;
  const Words deep = kCommon + Words{"--layers", "13", "--pipeline", "--device", "ane", "--max-compiles", "140"};
  const Result result = Program(deep, {}, folder.path(), ANE_TRAIN_STANDIN).wait();
  CHECK(result.code == 2);
  CHECK_THAT(result.err, ANE_CONTAINS("131 programs") && ANE_CONTAINS("127") && ANE_CONTAINS("--plan merged"));
}
#endif
