#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "ane/model/safetensors.h"

#include "cli/program.h"
#include "support/catch.h"

using namespace cli_test;
namespace fs = std::filesystem;

TEST_CASE("training from the command line ends with float64 PyTorch's parameters", "[cli][oracle]") {
  const std::string name = GENERATE(as<std::string>(), "micro", "gqa", "untied");
  const std::string weights = GENERATE(as<std::string>(), "baked", "dynamic");
  const std::string plan = GENERATE(as<std::string>(), "split", "merged");
  CAPTURE(name, weights, plan);
  const fs::path oracle = fs::path(ANE_SHARED_DIR) / "oracle" / name;
  if (!fs::exists(oracle)) {
    WARN("skipped: there are no reference values in " << oracle.string());
    return;
  }
  const nlohmann::json reference = nlohmann::json::parse(read_file(oracle / "case.json"));
  const auto& optimizer = reference.at("optimizer");
  const auto number = [](const nlohmann::json& value) { return value.dump(); };
  const int accum_steps = reference.at("accum_steps").get<int>();
  const int updates = reference.at("steps").get<int>();
  const int steps = updates * accum_steps;

  const Folder folder;
  const Result result = run({"--model",
                             (oracle / "weights.bin").string(),
                             "--data",
                             (oracle / "tokens.bin").string(),
                             "--data-order",
                             "sequential",
                             "--device",
                             "host",
                             "--precision",
                             "fp32",
                             "--weights",
                             weights,
                             "--plan",
                             plan,
                             "--grad-clip",
                             "0",
                             "--lr",
                             number(optimizer.at("lr")),
                             "--beta1",
                             number(optimizer.at("beta1")),
                             "--beta2",
                             number(optimizer.at("beta2")),
                             "--eps",
                             number(optimizer.at("eps")),
                             "--weight-decay",
                             number(optimizer.at("weight_decay")),
                             "--accum-steps",
                             fmt::format("{}", accum_steps),
                             "--steps",
                             fmt::format("{}", steps),
                             "--log-every",
                             "1",
                             "--checkpoint-dir",
                             "trained"},
                            {"ANE_MAX_COMPILES=40"}, folder.path());
  CAPTURE(result.out, result.err);
  REQUIRE(result.code == 0);

  int step = 0;
  for (const auto& loss : reference.at("losses")) {
    CHECK_THAT(result.out, ANE_CONTAINS(fmt::format("step {:<4} loss={:.4f} ", ++step, loss.get<double>())));
  }

  const ane::model::SafetensorsFile trained(folder / fmt::format("trained/step-{:08}/model.safetensors", steps));
  const ane::model::SafetensorsFile expected(oracle / "expected.safetensors");
  REQUIRE_FALSE(trained.tensors().empty());
  for (const auto& [tensor, found] : trained.tensors()) {
    CAPTURE(tensor);
    std::vector<float> ours(found.data.size() / sizeof(float));
    std::vector<float> theirs(ours.size());
    trained.read(tensor, found.shape, ours);
    expected.read(fmt::format("after{}.{}", updates, tensor), found.shape, theirs);
    double difference = 0;
    double norm = 0;
    for (std::size_t i = 0; i < ours.size(); ++i) {
      difference += std::pow(static_cast<double>(ours[i]) - static_cast<double>(theirs[i]), 2);
      norm += std::pow(static_cast<double>(theirs[i]), 2);
    }
    // fp32 sums of a few hundred terms are good to 1e-6; AdamW divides by small roots and loses some of that.
    CHECK(std::sqrt(difference) <= 1e-4 * std::sqrt(norm));
  }
}
