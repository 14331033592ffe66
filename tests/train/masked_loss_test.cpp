#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "ane/core/file.h"
#include "ane/device/host/host_device.h"
#include "ane/model/models.h"
#include "ane/train/evaluation.h"

#include "fake_model.h"
#include "harness.h"
#include "runs.h"
#include "support/catch.h"
#include "support/paths.h"

using namespace ane;
using namespace ane::train;

namespace {

/// Training steps in float64, made by make_masked_case.py.
const nlohmann::json& masked_case() {
  static const nlohmann::json read = nlohmann::json::parse(
      read_text_file(ane::test::source_dir() / "tests/train/golden/masked_case.json", "expected values"));
  return read;
}

/// The sequences of the case in order, for training and held out.
class CaseSource final : public data::Source {
 public:
  std::string description() const override { return "masked sequences"; }
  std::string identity() const override { return "masked"; }
  void training_sample(std::uint64_t step, data::Sample& sample) const override {
    sample.tokens = masked_case()["sequences"][step].get<std::vector<data::Token>>();
    sample.loss_mask.clear();
    for (const char bit : masked_case()["masks"][step].get<std::string>())
      sample.loss_mask.push_back(bit == '1' ? 1 : 0);
  }
  std::size_t validation_count() const override { return held_out; }
  void validation_sample(std::size_t index, data::Sample& sample) const override {
    training_sample(first_held_out + index, sample);
  }
  std::size_t held_out = 0;
  std::size_t first_held_out = 0;
};

model::ModelConfig config_of(const nlohmann::json& config) {
  model::ModelConfig made{.family = model::Family::llama,
                          .dim = config["dim"],
                          .hidden = config["hidden"],
                          .layers = 1,
                          .heads = config["heads"],
                          .kv_heads = config["kv_heads"],
                          .head_dim = config["head_dim"],
                          .vocab = config["vocab"],
                          .seq_len = config["seq_len"]};
  made.norm_eps = config["norm_eps"];
  made.rope_theta = config["rope_theta"];
  return made;
}

TrainOptions options_of(const nlohmann::json& facts) {
  TrainOptions options;
  options.accum_steps = facts["accum_steps"];
  options.steps = static_cast<std::int64_t>(facts["masks"].size());
  options.optimizer = {.lr = facts["lr"],
                       .beta1 = facts["beta1"],
                       .beta2 = facts["beta2"],
                       .eps = facts["eps"],
                       .weight_decay = facts["weight_decay"],
                       .grad_clip = 0};
  options.loss_scale = {.initial = 1};
  return options;
}

/// A run of the case on the host device, in fp32.
struct CaseRun {
  explicit CaseRun(const CaseSource& source, int max_compiles, std::size_t slots = 1)
      : device(threads, slots > 1 ? device::host::RunThreads::one : device::host::RunThreads::all),
        run(
            [this, slots](surface::SurfacePool& surfaces) {
              return model::make_model(config, mil::DType::fp32,
                                       {.device = device, .surfaces = surfaces, .threads = threads, .slots = slots});
            },
            source, options_of(masked_case()), max_compiles) {
    for (const model::Parameter& parameter : layout.parameters()) {
      const auto values = masked_case()["parameters"][parameter.name].get<std::vector<float>>();
      std::ranges::copy(values, slice(run.state->parameters(), parameter).begin());
    }
  }

  model::ModelConfig config = config_of(masked_case()["config"]);
  model::ParameterLayout layout = model::parameter_layout(config);
  math::ThreadPool threads{2};
  device::host::HostDevice device;
  Run run;
};

constexpr int kOneRound = 7;

/// A sum of a few dozen fp32 products has an error of about 1e-6.
void check_near(const nlohmann::json& expected, double found) {
  if (expected.is_null()) {
    CHECK(std::isnan(found));
  } else {
    CHECK(std::abs(found - expected.get<double>()) <= 1e-5 * expected.get<double>());
  }
}

}  // namespace

TEST_CASE("with a mask, losses, gradients and parameters are those of float64", "[train][host][oracle]") {
  const CaseSource source;
  CaseRun made(source, kPlenty);
  REQUIRE(made.run.run() == Outcome::finished);
  const nlohmann::json& facts = masked_case();
  const Recorder& recorder = made.run.recorder;
  REQUIRE(recorder.steps.size() == facts["losses"].size());
  for (std::size_t i = 0; i < recorder.steps.size(); ++i) check_near(facts["losses"][i], recorder.steps[i].loss);
  REQUIRE(recorder.updates.size() == facts["mean_losses"].size());
  for (std::size_t u = 0; u < recorder.updates.size(); ++u) {
    check_near(facts["mean_losses"][u], recorder.updates[u].mean_loss);
    check_near(facts["grad_norms"][u], recorder.updates[u].grad_norm);
    CHECK_FALSE(recorder.updates[u].skipped);
  }
  for (const model::Parameter& parameter : made.layout.parameters()) {
    CAPTURE(parameter.name);
    const auto expected = facts["trained"][parameter.name].get<std::vector<double>>();
    const auto found = slice(made.run.state->parameters(), parameter);
    for (std::size_t i = 0; i < expected.size(); ++i)
      CHECK(std::abs(double{found[i]} - expected[i]) <= 2e-5);  // three steps of 0.01, each with an error of 1e-4
  }
  // The update without tokens that count changed nothing, not even the number of updates that AdamW corrects by.
  CHECK(made.run.progress().update == 4);
  CHECK(made.run.progress().optimizer_updates == 3);
}

TEST_CASE("runs with a mask give the same bits however they are cut", "[train][host]") {
  const CaseSource source;
  CaseRun whole(source, kPlenty);
  REQUIRE(whole.run.run() == Outcome::finished);
  CaseRun cut(source, kOneRound);
  REQUIRE(cut.run.run() == Outcome::finished);
  CHECK(cut.run.processes > 2);
  check_same_result(whole.run, cut.run);
  CaseRun together(source, kPlenty, 2);
  REQUIRE(together.run.run() == Outcome::finished);
  CaseRun together_cut(source, kOneRound, 2);
  REQUIRE(together_cut.run.run() == Outcome::finished);
  check_same_result(together.run, together_cut.run);
}

TEST_CASE("a validation is the mean over the tokens that count", "[train][host]") {
  CaseSource source;
  source.held_out = 4;  // 3 + 3 + 0 + 1 tokens count
  CaseRun made(source, kPlenty);
  surface::HeapAllocator allocator;
  surface::SurfacePool surfaces(allocator);
  const auto model = model::make_model(made.config, mil::DType::fp32, {made.device, surfaces, made.threads});
  model->kernels().compile(model::PassMode::forward, made.run.state->parameters());
  const std::atomic<bool> stop = false;
  const auto of = [&](std::size_t first, std::size_t count) {
    source.first_held_out = first;
    return evaluate(*model, source, made.run.state->parameters(), 0, count, stop);
  };
  const nlohmann::json& losses = masked_case()["losses"];
  const Evaluation first = of(0, 2);
  check_near((3 * losses[0].get<double>() + 3 * losses[1].get<double>()) / 6, first.loss);
  CHECK(first.loss_sequences == 1);  // half of two sequences
  CHECK_FALSE(first.overflow);
  CHECK(of(0, 3).loss == first.loss);
  const Evaluation none = of(4, 2);
  CHECK(std::isnan(none.loss));
  CHECK(none.loss_sequences == 0);
  CHECK_FALSE(none.overflow);
  // Of sequences with different numbers of tokens that count.
  const Evaluation unequal = of(0, 4);
  const double fourth = of(3, 1).loss;
  CHECK(std::abs(unequal.loss - (6 * first.loss + fourth) / 7) <= 1e-12);
}

TEST_CASE("a validation without tokens that count is reported, and is not the best", "[train][host]") {
  CaseSource source;
  source.held_out = 2;
  source.first_held_out = 4;
  CaseRun made(source, kPlenty);
  REQUIRE(made.run.run() == Outcome::finished);
  REQUIRE(made.run.recorder.validations.size() == 1);
  CHECK(std::isnan(made.run.recorder.validations[0].loss));
  CHECK_FALSE(made.run.recorder.validations[0].is_best());
  CHECK(made.run.progress().best_validation_step == 0);
  REQUIRE(made.run.recorder.warnings.size() == 1);
  CHECK_THAT(made.run.recorder.warnings[0], ANE_CONTAINS("no token of its 2 sequences counts"));
}
