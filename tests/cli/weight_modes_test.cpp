#include <string>
#include <vector>

#include "cli/program.h"
#include "support/catch.h"

// Every way in which kernels get an update's weights, through the command line.

namespace {

using namespace cli_test;
namespace fs = std::filesystem;

const Words kCommon = {"--vocab",       "64", "--seq",         "32", "--threads", "1", "--lr", "0.003",
                       "--accum-steps", "2",  "--val-samples", "2",  "--steps",   "14"};

struct NamedModel {
  std::string name;
  Words dimensions;
};

const std::vector<NamedModel> kModels = {
    {"several KV groups", {"--dim", "64", "--hidden", "96", "--layers", "2", "--heads", "4", "--kv-heads", "2"}},
    {"own classifier", {"--dim", "32", "--hidden", "64", "--layers", "1", "--heads", "2", "--untied"}},
    {"no multiple of 16", {"--dim", "40", "--hidden", "72", "--layers", "2", "--heads", "2"}},
};

Words operator+(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

struct Trained {
  Result result;
  std::string parameters;
};

/// Runs to the end, on the host or the stand-in for Apple's frameworks, and reads what was learnt.
Trained train(const std::string& device, const Words& settings, const Words& environment = {}) {
  const Folder folder;
#ifdef ANE_TRAIN_STANDIN
  const std::string executable = device == "ane" ? ANE_TRAIN_STANDIN : ANE_TRAIN_PROGRAM;
#else
  const std::string executable = ANE_TRAIN_PROGRAM;
#endif
  const Words all = kCommon + settings + Words{"--device", device, "--checkpoint-dir", "out"};
  Trained trained{Program(all, environment, folder.path(), executable).wait(), {}};
  CAPTURE(all, environment, trained.result.out, trained.result.err);
  REQUIRE(trained.result.code == 0);
  trained.parameters = read_file(folder / "out/step-00000014/model.safetensors");
  REQUIRE_FALSE(trained.parameters.empty());
  return trained;
}

std::vector<std::string> devices() {
#ifdef ANE_TRAIN_STANDIN
  return {"host", "ane"};
#else
  return {"host"};
#endif
}

}  // namespace

TEST_CASE("reloaded weights give what baked ones give, on one round of compiles", "[cli][modes]") {
  for (const NamedModel& model : kModels) {
    CAPTURE(model.name);
    const Trained baked = train("host", model.dimensions);
    for (const std::string& device : devices()) {
      CAPTURE(device);
      const Trained reloaded = train(device, model.dimensions + Words{"--weights", "reload"}, {"STANDIN_RELOAD=works"});
      CHECK(reloaded.parameters == baked.parameters);
      CHECK_THAT(reloaded.result.out, ANE_CONTAINS("Weights:         reloaded\n") &&
                                          ANE_CONTAINS("(1 training round, 7 reload rounds)") &&
                                          !ANE_CONTAINS("[exec() restart") && ANE_CONTAINS("Reloaded "));
    }
  }
}

#ifdef ANE_TRAIN_STANDIN
TEST_CASE("an engine that computes on with old weights is found out, told once, and trains on", "[cli][modes]") {
  for (const NamedModel& model : kModels) {
    CAPTURE(model.name);
    const Trained baked = train("ane", model.dimensions);
    const Trained reloaded =
        train("ane", model.dimensions + Words{"--weights", "reload"}, {"STANDIN_RELOAD=stale", "ANE_MAX_COMPILES=12"});
    CAPTURE(reloaded.result.out, reloaded.result.err);
    CHECK(reloaded.parameters == baked.parameters);
    CHECK(count(reloaded.result.err, "still computes with its old weights after a reload") == 1);
    CHECK(count(reloaded.result.out, "[exec() restart") >= 3);
    CHECK_THAT(reloaded.result.out, ANE_CONTAINS("Weights:         baked, for a reload does not work here\n"));
  }
}
#endif

TEST_CASE("a pipeline learns the same however it is cut up, on every device", "[cli][modes]") {
  for (const NamedModel& model : kModels) {
    CAPTURE(model.name);
    const Trained whole = train("host", model.dimensions + Words{"--pipeline"}, {"ANE_MAX_COMPILES=1000"});
    CHECK_FALSE(whole.parameters == train("host", model.dimensions).parameters);  // it runs one update behind
    CHECK_THAT(whole.result.out, ANE_CONTAINS("one update behind"));
    for (const std::string& device : devices()) {
      CAPTURE(device);
      const Trained cut = train(device, model.dimensions, {"ANE_MAX_COMPILES=22", "ANE_PIPELINE=true"});
      CHECK(cut.parameters == whole.parameters);
      CHECK(count(cut.result.out, "[exec() restart") >= 1);
    }
  }
}

TEST_CASE("modes that exclude each other are refused", "[cli][modes][errors]") {
  const Result result = run(kCommon + Words{"--pipeline", "--weights", "reload"});
  CHECK(result.code == 2);
  CHECK_THAT(result.err, ANE_CONTAINS("--pipeline") && ANE_CONTAINS("--weights") && ANE_CONTAINS("reload"));
}

#ifdef ANE_TRAIN_STANDIN
TEST_CASE("a pipeline that the engine cannot hold is refused with the remedy", "[cli][modes][errors]") {
  const Folder folder;
  const Words deep = kCommon + Words{"--layers", "13", "--pipeline", "--device", "ane", "--max-compiles", "140"};
  const Result result = Program(deep, {}, folder.path(), ANE_TRAIN_STANDIN).wait();
  CHECK(result.code == 2);
  CHECK_THAT(result.err, ANE_CONTAINS("131 programs") && ANE_CONTAINS("127") && ANE_CONTAINS("--plan merged"));
}
#endif
