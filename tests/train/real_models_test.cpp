#include <cmath>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>

#include <nlohmann/json.hpp>

#include "ane/core/file.h"
#include "ane/data/sources.h"
#include "ane/device/host/host_device.h"
#include "ane/model/models.h"
#include "ane/model/safetensors.h"
#include "ane/model/weight_files.h"
#include "ane/train/checkpoint.h"
#include "ane/train/trainer.h"

#include "harness.h"
#include "runs.h"
#include "slots.h"
#include "support/catch.h"
#include "support/meta_rows.h"
#include "support/paths.h"
#include "support/temporary_directory.h"

// The training loop with real models on the host device.

using namespace ane;
using namespace ane::train;
namespace fs = std::filesystem;

namespace {

/// A small model, its data, and the smallest sufficient budget.
class Workload {
 public:
  virtual ~Workload() = default;
  [[nodiscard]] virtual std::unique_ptr<model::Model> make(const model::ModelContext& context) const = 0;
  [[nodiscard]] virtual const data::Source& source() const = 0;

  /// A run with its own device; `threads` and device live as long as the workload.
  [[nodiscard]] Run::MakeModel make_model() {
    return [this](surface::SurfacePool& surfaces) { return make({device_, surfaces, threads_}); };
  }

 private:
  math::ThreadPool threads_{2};
  device::host::HostDevice device_{threads_};
};

class MlpWorkload final : public Workload {
 public:
  std::unique_ptr<model::Model> make(const model::ModelContext& context) const override {
    return model::make_model({.family = model::Family::mlp, .dim = 16, .hidden = 32, .seq_len = 32}, mil::DType::fp16,
                             context);
  }
  const data::Source& source() const override { return *source_; }

 private:
  std::unique_ptr<data::Source> source_ = data::make_teacher_source(16, 32, 32, 3);
};

class LlamaWorkload final : public Workload {
 public:
  explicit LlamaWorkload(model::Family family) : family_(family) {}
  std::unique_ptr<model::Model> make(const model::ModelContext& context) const override {
    const model::ModelConfig config{.family = family_,
                                    .dim = 32,
                                    .hidden = 48,
                                    .layers = 2,
                                    .heads = 4,
                                    .kv_heads = 2,
                                    .head_dim = 12,
                                    .vocab = 50,
                                    .seq_len = 32};
    return model::make_model(config, mil::DType::fp16, context);
  }
  const data::Source& source() const override { return *source_; }

 private:
  model::Family family_;
  std::unique_ptr<data::Source> source_ = data::make_markov_source({.seq_len = 32, .vocab_size = 50, .seed = 3});
};

std::unique_ptr<Workload> workload(model::Family family) {
  if (family == model::Family::mlp) return std::make_unique<MlpWorkload>();
  return std::make_unique<LlamaWorkload>(family);
}

TrainOptions some_options() {
  TrainOptions options;
  options.steps = 26;
  options.accum_steps = 3;
  options.optimizer.lr = 3e-3;
  options.optimizer.warmup = 2;
  options.optimizer.schedule = ScheduleKind::cosine;
  options.loss_scale.growth_interval = 3;
  return options;
}

}  // namespace

TEST_CASE("a real model's pipeline gives the same bits however the run is divided into processes",
          "[train][pipeline][host]") {
  using model::Family;
  const auto [family, budget] =
      GENERATE(table<Family, int>({{Family::mlp, 4}, {Family::llama, 21}, {Family::qwen2, 21}, {Family::qwen3, 21}}));
  const auto work = workload(family);
  CAPTURE(model::name(family));
  TrainOptions options = some_options();
  options.refresh_mode = RefreshMode::pipeline;
  Run whole(work->make_model(), work->source(), options, kPlenty);
  REQUIRE(whole.run() == Outcome::finished);
  Run cut(work->make_model(), work->source(), options, budget);
  REQUIRE(cut.run() == Outcome::finished);
  CHECK(cut.processes > 2);
  check_same_result(whole, cut);
  options.refresh_mode = RefreshMode::compile;
  Run plain(work->make_model(), work->source(), options, kPlenty);
  REQUIRE(plain.run() == Outcome::finished);
  CHECK_FALSE(same_bits(plain.parameters(), whole.parameters()));
}

TEST_CASE("a real model's parameters have the same bits however the run is divided into processes",
          "[train][resume][host]") {
  const auto family = GENERATE(model::Family::mlp, model::Family::llama, model::Family::qwen2, model::Family::qwen3);
  const auto work = workload(family);
  const auto optimizer = GENERATE(OptimizerKind::adamw, OptimizerKind::muon);
  CAPTURE(model::name(family), optimizer_info(optimizer).name);
  TrainOptions options = some_options();
  options.optimizer = with_optimizer(options.optimizer, optimizer);
  if (optimizer == OptimizerKind::muon) options.optimizer.lr = 0.02;  // so that it learns in so few updates
  Run whole(work->make_model(), work->source(), options, kPlenty);
  REQUIRE(whole.run() == Outcome::finished);
  CHECK(whole.progress().optimizer_updates > 5);
  CHECK(whole.recorder.updates.back().mean_loss < whole.recorder.updates.front().mean_loss);

  const int one_round = whole.recorder.compiles.front().kernels;
  for (const int budget : {one_round, 2 * one_round + 1}) {
    CAPTURE(budget);
    Run cut(work->make_model(), work->source(), options, budget);
    REQUIRE(cut.run() == Outcome::finished);
    CHECK(cut.processes >= 4);
    check_same_result(whole, cut);
    CHECK(cut.recorder.validations.back().loss == whole.recorder.validations.back().loss);
  }

  const TemporaryDirectory directory;
  options.checkpoint_dir = directory.path();
  options.checkpoint_every = 4;
  Run saving(work->make_model(), work->source(), options, kPlenty);
  REQUIRE(saving.run() == Outcome::finished);
  check_same_result(whole, saving);
  REQUIRE(saving.recorder.checkpoints.size() == 3);
  Run resumed(work->make_model(), work->source(), options, one_round);
  surface::HeapAllocator allocator;
  surface::SurfacePool surfaces(allocator);
  const auto model = work->make_model()(surfaces);
  load_checkpoint(saving.recorder.checkpoints[0].path, model->parameters(), *resumed.state,
                  identity_of(*model, work->source()));
  CHECK(resumed.progress().step == 12);
  REQUIRE(resumed.run() == Outcome::finished);
  check_same_result(whole, resumed);
}

TEST_CASE("in steady state an update creates no surfaces", "[train][host]") {
  const auto family = GENERATE(model::Family::mlp, model::Family::llama, model::Family::qwen2, model::Family::qwen3);
  const auto work = workload(family);
  TrainOptions options = some_options();
  options.steps = 3;
  Run short_run(work->make_model(), work->source(), options, kPlenty);
  REQUIRE(short_run.run() == Outcome::finished);
  options.steps = 30;
  Run long_run(work->make_model(), work->source(), options, kPlenty);
  REQUIRE(long_run.run() == Outcome::finished);
  CHECK(short_run.state->totals().surfaces_created > 0);
  CHECK(long_run.state->totals().surfaces_created == short_run.state->totals().surfaces_created);
}

TEST_CASE("fp32 training ends where PyTorch in float64 ends", "[train][host][oracle]") {
  const std::string name = GENERATE("micro", "gqa", "untied");
  const fs::path folder = ane::test::shared_dir() / "oracle" / name;
  if (!fs::exists(folder)) {
    WARN("skipped: " << folder << " is not there");
    return;
  }
  CAPTURE(name);
  const auto facts = nlohmann::json::parse(read_text_file(folder / "case.json", "oracle"));
  model::ModelConfig config = model::read_llama2c_config(folder / "weights.bin");
  config.seq_len = facts["config"]["seq_len"];
  const auto source = data::open_token_file(
      folder / "tokens.bin", {.seq_len = config.seq_len, .vocab_size = config.vocab, .order = data::Order::sequential});

  TrainOptions options;
  options.accum_steps = facts["accum_steps"];
  options.steps = options.accum_steps * facts["steps"].get<std::int64_t>();
  const auto& optimizer = facts["optimizer"];
  options.optimizer = {.lr = optimizer["lr"],
                       .beta1 = optimizer["beta1"],
                       .beta2 = optimizer["beta2"],
                       .eps = optimizer["eps"],
                       .weight_decay = optimizer["weight_decay"],
                       .grad_clip = 0};
  options.loss_scale = {.initial = 1};
  math::ThreadPool threads(2);
  device::host::HostDevice device(threads);
  Run run(
      [&](surface::SurfacePool& surfaces) {
        return model::make_model(config, mil::DType::fp32, {device, surfaces, threads});
      },
      *source, options, 6 * static_cast<int>(config.layers) + 1);
  const model::ParameterLayout layout = model::parameter_layout(config);
  model::read_llama2c(folder / "weights.bin", layout, run.state->parameters());
  REQUIRE(run.run() == Outcome::finished);
  CHECK(run.processes > 1);

  const auto losses = facts["losses"].get<std::vector<double>>();
  REQUIRE(run.recorder.steps.size() == losses.size());
  for (std::size_t i = 0; i < losses.size(); ++i)
    CHECK(std::abs(run.recorder.steps[i].loss - losses[i]) <= 1e-5 * losses[i]);
  const auto norms = facts["grad_norms"].get<std::vector<double>>();
  REQUIRE(run.recorder.updates.size() == norms.size());
  for (std::size_t u = 0; u < norms.size(); ++u)
    CHECK(std::abs(run.recorder.updates[u].grad_norm - norms[u]) <= 1e-4 * norms[u]);

  const model::SafetensorsFile expected(folder / "expected.safetensors");
  for (const model::Parameter& parameter : layout.parameters()) {
    std::vector<float> reference(parameter.count);
    expected.read("after" + std::to_string(norms.size()) + "." + parameter.meta_name, parameter.shape, reference);
    reference = ane::test::from_meta_rows(parameter, reference);
    const auto found = slice(run.state->parameters(), parameter);
    double difference = 0;
    double size = 0;
    for (std::size_t i = 0; i < reference.size(); ++i) {
      difference += std::pow(double{found[i]} - double{reference[i]}, 2);
      size += std::pow(double{reference[i]}, 2);
    }
    CAPTURE(parameter.name);
    CHECK(std::sqrt(difference) <= 1e-4 * std::sqrt(size));  // fp32 steps against float64, relative Frobenius norm
  }
}
