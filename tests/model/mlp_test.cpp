#include "ane/model/mlp.h"

#include <algorithm>
#include <vector>

#include "ane/data/sources.h"
#include "ane/model/models.h"

#include "model/rig.h"
#include "support/catch.h"

namespace ane::model {
namespace {

using mil::DType;

struct MlpSession {
  explicit MlpSession(const KernelOptions& options)
      : model(make_model(config, options, rig.context)),
        parameters(model->parameters().size()),
        gradients(parameters.size()) {
    model->initialize(parameters, 3);
    source->training_sample(0, sample);
    test::load(model->kernels(), PassMode::training, parameters);
  }

  ModelConfig config{.family = Family::mlp, .dim = 64, .hidden = 128, .seq_len = 32};
  test::Rig rig;
  std::unique_ptr<Model> model;
  std::unique_ptr<data::Source> source = data::make_teacher_source(config.dim, config.hidden, config.seq_len, 5);
  data::Sample sample;
  std::vector<float> parameters, gradients;
  StepTimes times;
};

TEST_CASE("the MLP's gradient agrees with finite differences", "[model][mlp][gradient]") {
  KernelOptions options(DType::fp32, GENERATE(WeightMode::baked, WeightMode::dynamic));
  options.packing = GENERATE(Packing::width, Packing::channels);
  MlpSession session(options);
  const StepResult result =
      test::step(*session.model, session.sample, session.parameters, 1, session.gradients, session.times);
  REQUIRE_FALSE(result.overflow);
  const std::vector<float> base = session.parameters;
  constexpr float kStep = 0x1p-7F;
  for (const Parameter& parameter : session.model->parameters().parameters()) {
    INFO(parameter.name);
    const auto gradient = slice(std::span<const float>(session.gradients), parameter);
    const double norm = std::sqrt(test::dot(gradient, gradient));
    const auto loss_at = [&](float step) {
      session.parameters = base;
      const auto values = slice(std::span(session.parameters), parameter);
      for (std::size_t i = 0; i < values.size(); ++i) values[i] += step * gradient[i] / static_cast<float>(norm);
      test::load(session.model->kernels(), PassMode::forward, session.parameters);
      return test::evaluate(*session.model, session.sample, session.parameters, session.times).loss;
    };
    const double numeric = (loss_at(kStep) - loss_at(-kStep)) / (2 * static_cast<double>(kStep));
    CHECK(numeric == Approx(norm).epsilon(2e-3));
  }
}

TEST_CASE("the MLP learns from its teacher by plain gradient steps", "[model][mlp]") {
  MlpSession session(DType::fp16);
  CHECK(session.model->kernels().compiles_needed(PassMode::training) == 2);
  CHECK(session.model->kernels().compiles_needed(PassMode::forward) == 1);
  std::vector<double> losses;
  for (std::uint64_t step = 0; step < 100; ++step) {
    session.source->training_sample(step, session.sample);
    test::load(session.model->kernels(), PassMode::training, session.parameters);
    const StepResult result =
        test::step(*session.model, session.sample, session.parameters, 64, session.gradients, session.times);
    REQUIRE_FALSE(result.overflow);
    losses.push_back(result.loss);
    for (std::size_t i = 0; i < session.parameters.size(); ++i)
      session.parameters[i] -= 2.0F / 64 * session.gradients[i];
    std::fill(session.gradients.begin(), session.gradients.end(), 0.0F);
  }
  CHECK(losses.back() < losses.front() / 3);
}

TEST_CASE("the MLP has a summary", "[model][mlp]") {
  const MlpSession session(DType::fp16);
  const ModelSummary summary = session.model->summary();
  CHECK(dashboard_line(session.model->config()) == "dim=64 hidden=128 seq=32");
  CHECK(summary.transformer_parameters == 2 * 64 * 128);
  CHECK(summary.embedding_parameters == 0);
  CHECK(summary.flops_per_step.forward == 4.0 * 64 * 128 * 32);
  CHECK(summary.flops_per_step.total() == 10.0 * 64 * 128 * 32);
  CHECK(session.model->kernels().infos().size() == 2);
}

TEST_CASE("a NaN output of the MLP is an overflow", "[model][mlp][overflow]") {
  MlpSession session(DType::fp16);
  std::fill(session.sample.x.begin(), session.sample.x.end(), 60000.0F);
  const StepResult result =
      test::step(*session.model, session.sample, session.parameters, 1, session.gradients, session.times);
  REQUIRE(result.overflow);
  CHECK_THAT(*result.overflow, ANE_CONTAINS("x of mlp_fwd in layer 0 reaches 6e+04"));
  session.sample.y.pop_back();
  CHECK_THROWS_WITH(test::evaluate(*session.model, session.sample, session.parameters, session.times),
                    ANE_CONTAINS("expected 2048 of each"));
}

}  // namespace
}  // namespace ane::model
