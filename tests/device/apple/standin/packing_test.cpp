#include <algorithm>
#include <string>
#include <vector>

#include "ane/model/llama.h"

#include "fixture.h"
#include "model/rig.h"

// Weights in the input of kernels, on a chip that turns large numbers in offset slices into infinity.

namespace ane::device::apple {
namespace {

constexpr model::ModelConfig kConfig = {
    .dim = 32, .hidden = 64, .layers = 1, .heads = 2, .kv_heads = 1, .head_dim = 16, .vocab = 32, .seq_len = 32};

/// One step of a model some of whose activations, those of up_proj, exceed 4,094.
struct Outcome {
  Outcome(Device& device, model::Packing packing) {
    math::ThreadPool threads(1);
    surface::SurfacePool surfaces(device.surface_allocator());
    model::KernelOptions options(mil::DType::fp16, model::WeightMode::dynamic);
    options.packing = packing;
    model::Llama model(kConfig, options, {.device = device, .surfaces = surfaces, .threads = threads});
    std::vector<float> parameters(model.parameters().size());
    for (const model::Parameter& parameter : model.parameters().parameters())
      set(parameter, model::slice(std::span(parameters), parameter));
    model::test::load(model.kernels(), model::PassMode::training, parameters);
    data::Sample sample;
    for (std::size_t i = 0; i <= kConfig.seq_len; ++i) sample.tokens.push_back(static_cast<data::Token>(i * 7 % 32));
    gradients.resize(parameters.size());
    model::StepTimes times;
    result = model::test::step(model, sample, parameters, 64, gradients, times);
  }

  static void set(const model::Parameter& parameter, std::span<float> values) {
    if (!parameter.decays()) {
      std::ranges::fill(values, 1.0F);
      return;
    }
    const float factor = parameter.name.find("up_proj") != std::string::npos     ? 1000
                         : parameter.name.find("gate_proj") != std::string::npos ? 0.01F
                                                                                 : 1;
    std::ranges::transform(model::test::random_values(values.size(), 0.3, parameter.offset), values.begin(),
                           [&](float value) { return factor * value; });
  }

  std::vector<float> gradients;
  model::StepResult result;
};

AneOptions without_rule_of_slices() {
  AneOptions options;
  options.rules = {{"R3", false}};
  return options;
}

TEST_CASE("on M1, weights below the activations give finite gradients where those beside them do not",
          "[apple][standin][persona][packing]") {
  math::ThreadPool threads(1);
  host::HostDevice host(threads);
  const Outcome expected(host, model::Packing::width);
  REQUIRE_FALSE(expected.result.overflow);
  fakes::Control& standin = fresh_standin();
  standin.play("m1");
  AneDevice engine(without_rule_of_slices());
  const Outcome beside(engine, model::Packing::width);
  CHECK_THAT(beside.result.overflow.value_or(""), ANE_CONTAINS("of ffn_bwd in layer 0 is not finite"));
  const Outcome below(engine, model::Packing::channels);
  CAPTURE(below.result.overflow.value_or(""));
  REQUIRE_FALSE(below.result.overflow);
  // The persona drops products below 2^-14.
  CHECK(below.result.loss == Approx(expected.result.loss).epsilon(1e-3));
  CHECK(model::test::relative_error(below.gradients, expected.gradients) <= 1e-2);
  standin.reset();
}

TEST_CASE("on other chips both packings give the host's results, bit for bit", "[apple][standin][packing]") {
  fresh_standin();
  math::ThreadPool threads(1);
  host::HostDevice host(threads);
  const Outcome expected(host, model::Packing::width);
  AneDevice engine(without_rule_of_slices());
  for (const model::Packing packing : {model::Packing::width, model::Packing::channels}) {
    const Outcome found(engine, packing);
    CHECK(found.result.loss == expected.result.loss);
    CHECK(found.gradients == expected.gradients);
  }
}

}  // namespace
}  // namespace ane::device::apple
