#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "ane/model/adapter.h"
#include "ane/model/frozen_parameters.h"
#include "ane/model/llama.h"
#include "ane/model/models.h"

#include "model/rig.h"
#include "support/catch.h"
#include "support/sanitized.h"

// Steps of models of which only a part, or an adapter, is trained.
namespace ane::model {
namespace {

using mil::DType;
using test::Rig;

ModelConfig small(Family family, bool tied = true) {
  return {.family = family,
          .dim = 8,
          .hidden = 20,  // longer than any activation of the attention kernels
          .layers = 2,
          .heads = 2,
          .kv_heads = 1,
          .head_dim = 6,
          .vocab = 11,
          .seq_len = 7,
          .tied_embeddings = tied};
}

std::vector<float> random_parameters(const ParameterLayout& layout) {
  std::vector<float> parameters(layout.size());
  for (const Parameter& parameter : layout.parameters()) {
    const std::vector<float> values = test::random_values(parameter.count, 0.3, parameter.offset + 17);
    const float mean = parameter.decays() ? 0.0F : 1.0F;
    std::ranges::transform(values, slice(std::span(parameters), parameter).begin(),
                           [&](float value) { return mean + value; });
  }
  return parameters;
}

/// A model with some frozen parameters and perhaps an adapter.
struct FrozenLlama {
  template <class Predicate>
  FrozenLlama(const ModelConfig& model_config, KernelOptions options, const Adapter& adapter,
              const Predicate& is_frozen, int threads = 2, std::size_t slots = 1)
      : config(model_config),
        base(parameter_layout(config)),
        base_values(random_parameters(base)),
        rig(threads, slots) {
    frozen = FrozenParameters(base, is_frozen, open_array(base_values, base));
    frozen.load_vectors();
    rig.context.frozen = &frozen;
    options.adapter = adapter;
    model = std::make_unique<Llama>(config, options, rig.context);
    for (std::size_t i = 0; i <= config.seq_len; ++i)
      sample.tokens.push_back(static_cast<data::Token>((i * i + 3 * i) % config.vocab));
    parameters.resize(model->parameters().size());
    gradients.resize(parameters.size());
    const std::vector<float> random = random_parameters(model->parameters());
    for (const Parameter& parameter : model->parameters().parameters()) {
      const Parameter* const own = base.find(parameter.name);
      std::ranges::copy(own != nullptr ? slice(std::span<const float>(base_values), *own)
                                       : slice(std::span<const float>(random), parameter),
                        slice(std::span(parameters), parameter).begin());
    }
  }

  void load(PassMode mode = PassMode::training) { test::load(model->kernels(), mode, parameters); }
  StepResult step() { return test::step(*model, sample, parameters, 1, gradients, times); }
  double loss() {
    model->kernels().load_weights(PassMode::forward, parameters);
    return test::evaluate(*model, sample, parameters, times).loss;
  }

  ModelConfig config;
  ParameterLayout base;
  std::vector<float> base_values;
  data::Sample sample;
  FrozenParameters frozen;
  Rig rig;
  std::unique_ptr<Llama> model;
  std::vector<float> parameters, gradients;
  StepTimes times;
};

bool everything(const Parameter& /*parameter*/) { return true; }

/// Different modules in the two layers; the rank is no power of two.
Adapter mixed_adapter() {
  return {.rank = 3,
          .alpha = 4.5,
          .modules = {"model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.v_proj",
                      "model.layers.0.self_attn.o_proj", "model.layers.0.mlp.down_proj",
                      "model.layers.1.self_attn.q_proj", "model.layers.1.self_attn.k_proj",
                      "model.layers.1.mlp.gate_proj", "model.layers.1.mlp.up_proj", "model.layers.1.mlp.down_proj"}};
}

KernelOptions fp32(WeightMode weights, PlanChoice plan) { return {DType::fp32, weights, plan}; }

TEST_CASE("an adapter's gradients agree with finite differences of the loss", "[model][lora][gradient]") {
  const Family family = GENERATE(Family::llama, Family::qwen2, Family::qwen3);
  const WeightMode weights = GENERATE(WeightMode::baked, WeightMode::dynamic);
  const PlanChoice plan = kSanitized ? PlanChoice::merged : GENERATE(PlanChoice::split, PlanChoice::merged);
  CAPTURE(name(family), static_cast<int>(weights), static_cast<int>(plan));
  FrozenLlama session(small(family, family != Family::llama), fp32(weights, plan), mixed_adapter(), everything);
  session.load();
  REQUIRE_FALSE(session.step().overflow);
  for (const Parameter& parameter : session.model->parameters().parameters()) {
    CAPTURE(parameter.name);
    std::vector<float> numeric;
    std::vector<float> exact;
    for (std::size_t i = 0; i < parameter.count; ++i) {
      float& value = session.parameters[parameter.offset + i];
      exact.push_back(session.gradients[parameter.offset + i]);
      constexpr float kDifference = 0x1p-6F;
      const float kept = value;
      value = kept + kDifference;
      const double above = session.loss();
      value = kept - kDifference;
      const double below = session.loss();
      value = kept;
      numeric.push_back(static_cast<float>((above - below) / (2 * static_cast<double>(kDifference))));
    }
    // Truncation is near 2^-12 of the gradient; an fp32 loss near 3 is rounded by 2e-7, which is 1e-5 of a quotient.
    CHECK(test::relative_error(exact, numeric) <= 5e-3);
  }
}

TEST_CASE("a model with an adapter has the logits of the merged model", "[model][lora]") {
  const Family family = GENERATE(Family::llama, Family::qwen2, Family::qwen3);
  const WeightMode weights = GENERATE(WeightMode::baked, WeightMode::dynamic);
  ModelConfig config = small(family);
  config.head_dim = GENERATE(std::size_t{6}, std::size_t{4});  // 4: q_proj is square, and its factors could be confused
  FrozenLlama session(config, fp32(weights, PlanChoice::split), mixed_adapter(), everything);
  session.load(PassMode::forward);
  session.loss();
  const auto found = session.model->logits();
  const std::vector<float> logits(found.begin(), found.end());

  std::vector<float> merged = session.base_values;
  const Adapter adapter = mixed_adapter();
  for (const std::string& module : adapter.modules) {
    const Parameter& w = *session.base.find(module + ".weight");
    const Parameter& a = *session.model->parameters().find(module + ".lora_A.weight");
    const Parameter& b = *session.model->parameters().find(module + ".lora_B.weight");
    const auto columns = static_cast<std::size_t>(w.shape[1]);
    const auto a_values = slice(std::span<const float>(session.parameters), a);
    const auto b_values = slice(std::span<const float>(session.parameters), b);
    const auto values = slice(std::span(merged), w);
    for (std::size_t i = 0; i < values.size(); ++i) {
      double sum = 0;
      for (std::size_t r = 0; r < adapter.rank; ++r)
        sum += double{b_values[i / columns * adapter.rank + r]} * double{a_values[r * columns + i % columns]};
      values[i] += static_cast<float>(1.5 * sum);  // alpha / rank
    }
  }
  Rig rig;
  Llama whole(session.config, fp32(weights, PlanChoice::split), rig.context);
  test::load(whole.kernels(), PassMode::forward, merged);
  static_cast<void>(test::evaluate(whole, session.sample, merged, session.times));
  CHECK(test::relative_error(logits, whole.logits()) <= 1e-5);
}

TEST_CASE("an adapter below the activations gives the results of one beside them", "[model][lora][packing]") {
  const Family family = GENERATE(Family::llama, Family::qwen2, Family::qwen3);
  const WeightMode weights = GENERATE(WeightMode::baked, WeightMode::dynamic);
  const PlanChoice plan = GENERATE(PlanChoice::split, PlanChoice::merged);
  const DType element = GENERATE(DType::fp32, DType::fp16);
  CAPTURE(name(family), static_cast<int>(weights), static_cast<int>(plan), mil::name(element));
  KernelOptions options(element, weights, plan);
  FrozenLlama beside(small(family), options, mixed_adapter(), everything);
  options.packing = Packing::channels;
  FrozenLlama below(small(family), options, mixed_adapter(), everything);
  beside.load();
  below.load();
  // The factors lie in memory in another order, in which a BLAS may add in another one; fp16 rounds each result to
  // 2^-11.
  const double tolerance = element == DType::fp16 ? 1e-3 : 1e-5;
  const double loss = beside.step().loss;
  CHECK(std::abs(below.step().loss - loss) <= tolerance * loss);
  CHECK(test::relative_error(below.gradients, beside.gradients) <= tolerance);
}

TEST_CASE("an adapter's update compiles nothing, and the kernels get its new values", "[model][lora]") {
  const WeightMode weights = GENERATE(WeightMode::baked, WeightMode::dynamic);
  FrozenLlama session(small(Family::llama), fp32(weights, PlanChoice::split), mixed_adapter(), everything);
  Kernels& kernels = session.model->kernels();
  CHECK(kernels.compiles_needed(PassMode::training) == (weights == WeightMode::baked ? 5 * 2 + 1 : 6));
  session.load();
  const double before = session.loss();
  CHECK(kernels.compiles_needed(PassMode::training) == 0);
  CHECK(kernels.compiles_ahead() == 0);
  for (float& value : session.parameters) value *= 2;
  const double after = session.loss();
  CHECK(after != before);
  FrozenLlama fresh(small(Family::llama), fp32(weights, PlanChoice::split), mixed_adapter(), everything);
  fresh.parameters = session.parameters;
  fresh.load();
  CHECK(fresh.loss() == after);
}

TEST_CASE("frozen parameters change neither the loss nor the gradients of the others", "[model][freeze]") {
  const WeightMode weights = GENERATE(WeightMode::baked, WeightMode::dynamic);
  const bool tied = GENERATE(true, false);
  const Family family = GENERATE(Family::qwen2, Family::qwen3);
  CAPTURE(static_cast<int>(weights), tied, name(family));
  const auto is_frozen = [](const Parameter& parameter) {
    return parameter.name.starts_with("model.layers.0.") || parameter.name.find("embed") != std::string::npos ||
           parameter.name.find("q_proj") != std::string::npos || parameter.name == "model.norm.weight";
  };
  FrozenLlama part(small(family, tied), fp32(weights, PlanChoice::split), {}, is_frozen);
  FrozenLlama whole(small(family, tied), fp32(weights, PlanChoice::split), {}, [](const Parameter&) { return false; });
  part.load();
  whole.load();
  const StepResult result = part.step();
  CHECK(result.loss == whole.step().loss);
  std::size_t trained = 0;
  for (const Parameter& parameter : part.model->parameters().parameters()) {
    CAPTURE(parameter.name);
    CHECK_FALSE(is_frozen(parameter));
    ++trained;
    const Parameter& same = *whole.model->parameters().find(parameter.name);
    CHECK(std::ranges::equal(slice(std::span<const float>(part.gradients), parameter),
                             slice(std::span<const float>(whole.gradients), same)));
  }
  CHECK(trained + part.frozen.layout().parameters().size() == part.base.parameters().size());
  // Of the kernels with baked weights, those of the second layer have trained ones.
  CHECK(part.model->kernels().compiles_needed(PassMode::training) == (weights == WeightMode::baked ? 5 : 0));
}

TEST_CASE("concurrent sequences give an adapter the gradients of consecutive ones", "[model][lora][slots]") {
  FrozenLlama two(small(Family::qwen3), DType::fp16, mixed_adapter(), everything, 2, 2);
  FrozenLlama one(small(Family::qwen3), DType::fp16, mixed_adapter(), everything, 1, 1);
  two.load();
  one.load();
  std::vector<data::Sample> samples(2, two.sample);
  std::ranges::reverse(samples[1].tokens);
  std::vector<StepResult> results(2);
  two.model->step(samples, two.parameters, 64, two.gradients, results, two.times);
  for (const data::Sample& sample : samples) {
    StepResult result;
    one.model->step({&sample, 1}, one.parameters, 64, one.gradients, {&result, 1}, one.times);
  }
  CHECK(two.gradients == one.gradients);
}

TEST_CASE("a new adapter has PEFT's initial values and changes nothing", "[model][lora]") {
  FrozenLlama session(small(Family::llama), DType::fp32, mixed_adapter(), everything);
  std::vector<float> parameters(session.parameters.size());
  session.model->initialize(parameters, 5);
  for (const Parameter& parameter : session.model->parameters().parameters()) {
    CAPTURE(parameter.name);
    const auto values = slice(std::span<const float>(parameters), parameter);
    if (parameter.name.ends_with("lora_B.weight")) {
      CHECK(std::ranges::count(values, 0.0F) == static_cast<std::ptrdiff_t>(values.size()));
      continue;
    }
    const double bound = 1 / std::sqrt(static_cast<double>(parameter.shape[1]));
    const auto [least, most] = std::ranges::minmax(values);
    CHECK(double{least} >= -bound);
    CHECK(double{most} <= bound);
    CHECK(double{most - least} > bound);  // of at least 18 values, with probability 1 - 1e-4
  }
  session.parameters = parameters;
  session.load();
  FrozenLlama whole(small(Family::llama), DType::fp32, {}, [](const Parameter&) { return false; });
  whole.load();
  CHECK(session.loss() == Approx(whole.loss()).epsilon(1e-6));
}

}  // namespace
}  // namespace ane::model
