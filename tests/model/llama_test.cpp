#include "ane/model/llama.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ane/core/error.h"
#include "ane/model/models.h"

#include "model/rig.h"
#include "support/allocation_counter.h"
#include "support/catch.h"
#include "support/sanitized.h"

namespace ane::model {
namespace {

using mil::DType;
using test::packed;
using test::Rig;

ModelConfig tiny(std::size_t kv_heads, bool tied, std::size_t head_dim = 4, Family family = Family::llama) {
  return {.family = family,
          .dim = 16,
          .hidden = 24,
          .layers = 2,
          .heads = 4,
          .kv_heads = kv_heads,
          .head_dim = head_dim,
          .vocab = 11,
          .seq_len = 9,
          .tied_embeddings = tied};
}

data::Sample sample_for(const ModelConfig& config) {
  data::Sample sample;
  for (std::size_t i = 0; i <= config.seq_len; ++i)
    sample.tokens.push_back(static_cast<data::Token>((i * i + 3 * i) % config.vocab));
  return sample;
}

/// A model, its parameters (large enough for gradients of every tensor to matter) and a gradient array.
struct TrainedLlama {
  TrainedLlama(const ModelConfig& model_config, const KernelOptions& options, int threads = 2, std::size_t slots = 1)
      : config(model_config),
        sample(sample_for(model_config)),
        rig(threads, slots),
        model(model_config, options, rig.context),
        parameters(model.parameters().size()),
        gradients(parameters.size()) {
    for (const Parameter& parameter : model.parameters().parameters()) {
      const std::vector<float> values = test::random_values(parameter.count, 0.3, parameter.offset);
      const float mean = parameter.decays() ? 0.0F : 1.0F;
      std::transform(values.begin(), values.end(), slice(std::span(parameters), parameter).begin(),
                     [&](float value) { return mean + value; });
    }
  }

  StepResult step(float scale = 1) { return test::step(model, sample, parameters, scale, gradients, times); }
  double loss_of_changed_parameters() {
    test::load(model.kernels(), PassMode::forward, parameters);
    return test::evaluate(model, sample, parameters, times).loss;
  }
  /// The mean loss over the unmasked tokens of all samples.
  double masked_loss(std::span<const data::Sample> samples) {
    test::load(model.kernels(), PassMode::forward, parameters);
    double loss = 0;
    double share = 0;
    for (const data::Sample& each : samples) {
      const StepResult result = test::evaluate(model, each, parameters, times);
      loss += result.loss;
      share += result.loss_share;
    }
    return loss / share;
  }

  ModelConfig config;
  data::Sample sample;
  Rig rig;
  Llama model;
  std::vector<float> parameters, gradients;
  StepTimes times;
};

/// Compares every tensor's gradient with differences of `loss()`, which is called with changed parameters.
template <class Loss>
void check_by_differences(TrainedLlama& session, const Loss& loss) {
  const std::vector<float> base = session.parameters;
  constexpr float kStep = 0x1p-7F;
  for (const Parameter& parameter : session.model.parameters().parameters()) {
    INFO(parameter.name);
    // Along the gradient the derivative equals the gradient's norm, so the relative noise is smallest.
    const auto gradient = slice(std::span<const float>(session.gradients), parameter);
    const double norm = std::sqrt(test::dot(gradient, gradient));
    const auto loss_at = [&](float step) {
      session.parameters = base;
      const auto values = slice(std::span(session.parameters), parameter);
      for (std::size_t i = 0; i < values.size(); ++i) values[i] += step * gradient[i] / static_cast<float>(norm);
      return loss();
    };
    const auto difference = [&](float step) {
      return (loss_at(step) - loss_at(-step)) / (2 * static_cast<double>(step));
    };
    // Richardson extrapolation cancels the error that is quadratic in the step. The loss is accurate to about 1e-7,
    // which gives 5e-5 for these steps, compared with norms of at least 1e-2.
    const double numeric = (4 * difference(kStep / 2) - difference(kStep)) / 3;
    CHECK(numeric == Approx(norm).epsilon(5e-3));
  }
}

TEST_CASE("the logits of the next token are those of an evaluation at its position", "[model]") {
  const auto [family, tied] =
      GENERATE(table<Family, bool>({{Family::llama, true}, {Family::llama, false}, {Family::qwen3, true}}));
  const std::size_t slots = GENERATE(1U, 2U);
  TrainedLlama session(tiny(2, tied, 4, family), DType::fp16, 2, slots);
  test::load(session.model.kernels(), PassMode::forward, session.parameters);
  test::evaluate(session.model, session.sample, session.parameters, session.times);
  const auto all = session.model.logits();
  const std::vector<float> expected(all.begin(), all.end());
  const std::size_t vocab = session.config.vocab;
  std::vector<float> logits(vocab);
  for (std::size_t count = 1; count <= session.config.seq_len; ++count) {
    CAPTURE(name(family), tied, slots, count);
    const auto text = std::span(session.sample.tokens).first(count);
    CHECK_FALSE(session.model.next_logits(text, session.parameters, logits));
    // The same activations; only the order of the classifier's fp32 sums differs.
    CHECK(test::relative_error(logits, std::span(expected).subspan((count - 1) * vocab, vocab)) <= 1e-6);
  }
}

TEST_CASE("logits of the next token that are not finite are reported", "[model][overflow]") {
  const DType element = GENERATE(DType::fp16, DType::fp32);
  TrainedLlama session(tiny(2, true), element);
  std::vector<float> logits(session.config.vocab);
  const std::vector<data::Token> text = {1, 2};
  if (element == DType::fp16) {  // a tensor of a kernel
    for (float& value :
         slice(std::span(session.parameters), *session.model.parameters().find("model.layers.1.mlp.down_proj.weight")))
      value = 6e4F;
    test::load(session.model.kernels(), PassMode::forward, session.parameters);
    CHECK(session.model.next_logits(text, session.parameters, logits).has_value());
  } else {
    for (float& value : slice(std::span(session.parameters), *session.model.parameters().find("model.norm.weight")))
      value = 3e38F;
    test::load(session.model.kernels(), PassMode::forward, session.parameters);
    CHECK(session.model.next_logits(text, session.parameters, logits) == "the logits are not finite");
  }
}

TEST_CASE("an MLP continues no text", "[model][errors]") {
  Rig rig;
  const auto model = make_model({.family = Family::mlp, .dim = 4, .hidden = 4, .seq_len = 4}, DType::fp16, rig.context);
  std::vector<float> logits(1);
  const std::vector<data::Token> text = {1};
  CHECK_THROWS_WITH(model->next_logits(text, {}, logits), "an mlp cannot generate text");
}

TEST_CASE("every tensor's gradient agrees with finite differences through the whole model", "[model][gradient]") {
  const auto [kv_heads, tied, head_dim, family] =
      GENERATE(table<std::size_t, bool, std::size_t, Family>({{4, true, 4, Family::llama},
                                                              {2, true, 4, Family::llama},
                                                              {1, false, 4, Family::llama},
                                                              {2, true, 6, Family::llama},
                                                              {2, false, 2, Family::llama},
                                                              {2, true, 4, Family::qwen2},
                                                              {1, false, 10, Family::qwen2},
                                                              {2, true, 4, Family::qwen3},
                                                              {1, false, 6, Family::qwen3}}));
  CAPTURE(kv_heads, tied, head_dim, name(family));
  const WeightMode weights = GENERATE(WeightMode::baked, WeightMode::dynamic);
  const PlanChoice plan = GENERATE(PlanChoice::split, PlanChoice::merged);
  TrainedLlama session(tiny(kv_heads, tied, head_dim, family), {DType::fp32, weights, plan});
  test::load(session.model.kernels(), PassMode::training, session.parameters);
  REQUIRE_FALSE(session.step().overflow);

  check_by_differences(session, [&] { return session.loss_of_changed_parameters(); });
}

TEST_CASE("with loss masks, gradients are those of the mean over the unmasked tokens", "[model][gradient]") {
  const Family family = GENERATE(Family::llama, Family::qwen3);
  const PlanChoice plan = GENERATE(PlanChoice::split, PlanChoice::merged);
  CAPTURE(name(family));
  TrainedLlama session(tiny(2, true, 4, family), {DType::fp32, WeightMode::baked, plan});
  const std::array<std::vector<std::uint8_t>, 4> masks = {{{0, 1, 1, 0, 0, 0, 1, 0, 1},
                                                           {0, 0, 0, 0, 0, 0, 0, 0, 0},
                                                           {0, 0, 0, 0, 0, 0, 0, 0, 1},
                                                           {1, 1, 1, 1, 1, 1, 1, 1, 1}}};
  std::vector<data::Sample> samples;
  for (const std::vector<std::uint8_t>& mask : masks) {
    samples.push_back(sample_for(session.config));
    for (data::Token& token : samples.back().tokens)
      token = static_cast<data::Token>((token + samples.size()) % session.config.vocab);
    samples.back().loss_mask = mask;
  }
  test::load(session.model.kernels(), PassMode::training, session.parameters);
  double share = 0;
  for (const data::Sample& sample : samples) {
    session.sample = sample;
    const StepResult result = session.step();
    REQUIRE_FALSE(result.overflow);
    share += result.loss_share;
  }
  CHECK(share == Approx((4 + 0 + 1 + 9) / 9.0));
  for (float& gradient : session.gradients) gradient /= static_cast<float>(share);
  check_by_differences(session, [&] { return session.masked_loss(samples); });
}

TEST_CASE("gradients add up over samples and grow with the loss scale", "[model][step]") {
  TrainedLlama session(tiny(2, true), DType::fp32);
  test::load(session.model.kernels(), PassMode::training, session.parameters);
  session.step();
  const std::vector<float> once = session.gradients;
  session.step(3);
  std::vector<float> fourfold = once;
  for (float& value : fourfold) value *= 4;
  CHECK(test::relative_error(session.gradients, fourfold) <= 1e-5);
}

TEST_CASE("the loss falls under plain gradient steps", "[model][step]") {
  const DType element = GENERATE(DType::fp32, DType::fp16);
  CAPTURE(mil::name(element));
  TrainedLlama session(tiny(2, true), element);
  constexpr float kScale = 128;
  std::vector<double> losses;
  for (int update = 0; update < 30; ++update) {
    test::load(session.model.kernels(), PassMode::training, session.parameters);
    const StepResult result = session.step(kScale);
    REQUIRE_FALSE(result.overflow);
    losses.push_back(result.loss);
    for (std::size_t i = 0; i < session.parameters.size(); ++i)
      session.parameters[i] -= 0.1F / kScale * session.gradients[i];
    std::fill(session.gradients.begin(), session.gradients.end(), 0.0F);
  }
  CHECK(losses.back() < losses.front() / 4);
}

// ---- Batch slots

/// Different samples.
std::vector<data::Sample> samples_for(const ModelConfig& config, std::size_t count) {
  std::vector<data::Sample> samples(count, sample_for(config));
  for (std::size_t i = 0; i < count; ++i)
    for (data::Token& token : samples[i].tokens) token = static_cast<data::Token>((token + 3 * i) % config.vocab);
  return samples;
}

std::vector<double> losses_of(std::span<const StepResult> results) {
  std::vector<double> losses;
  for (const StepResult& result : results) losses.push_back(result.loss);
  return losses;
}

/// Losses and gradients of five samples, in all batch slots of the model.
std::vector<double> train_on_five(TrainedLlama& session) {
  const std::vector<data::Sample> samples = samples_for(session.config, 5);
  std::vector<StepResult> results(samples.size());
  test::load(session.model.kernels(), PassMode::training, session.parameters);
  const std::size_t at_once = session.model.batch_slots();
  for (std::size_t i = 0; i < samples.size(); i += at_once) {
    const std::size_t count = std::min(at_once, samples.size() - i);
    session.model.step(std::span(samples).subspan(i, count), session.parameters, 8, session.gradients,
                       std::span(results).subspan(i, count), session.times);
  }
  return losses_of(results);
}

TEST_CASE("batch slots give the same bits as one thread", "[model][slots]") {
  const PlanChoice plan = GENERATE(PlanChoice::split, PlanChoice::merged);
  const DType element = GENERATE(DType::fp16, DType::fp32);
  const WeightMode weights = GENERATE(WeightMode::baked, WeightMode::dynamic);
  const std::size_t slots = GENERATE(2U, 3U);
  const Family family = GENERATE(Family::llama, Family::qwen2, Family::qwen3);
  const ModelConfig config = tiny(2, false, 6, family);
  TrainedLlama alone(config, {element, weights, plan}, 1);
  const std::vector<double> losses = train_on_five(alone);
  TrainedLlama together(config, {element, weights, plan}, 3, slots);
  REQUIRE(together.model.batch_slots() == slots);
  CHECK(train_on_five(together) == losses);
  CHECK(together.gradients == alone.gradients);
  CHECK(together.rig.surfaces.counters().live == alone.rig.surfaces.counters().live * slots);
}

TEST_CASE("a tied embedding's gradient does not depend on the timing of batch slots", "[model][slots]") {
  const ModelConfig config = tiny(2, true);
  TrainedLlama first(config, DType::fp32, 3, 3);
  TrainedLlama again(config, DType::fp32, 3, 3);
  TrainedLlama alone(config, DType::fp32, 1);
  train_on_five(alone);
  train_on_five(first);
  // The embedding's part is added after all of the classifier's; fp32 sums of tens of values.
  CHECK(test::relative_error(first.gradients, alone.gradients) <= 1e-6);
  for (int i = 0; i < 20; ++i) {
    std::ranges::fill(again.gradients, 0.0F);
    train_on_five(again);
    REQUIRE(again.gradients == first.gradients);
  }
}

TEST_CASE("samples evaluated together have the losses of each alone", "[model][slots]") {
  TrainedLlama session(tiny(2, true), DType::fp16, 3, 3);
  test::load(session.model.kernels(), PassMode::forward, session.parameters);
  const std::vector<data::Sample> samples = samples_for(session.config, 3);
  std::vector<StepResult> results(samples.size());
  session.model.evaluate(samples, session.parameters, results, session.times);
  for (std::size_t i = 0; i < samples.size(); ++i)
    CHECK(results[i].loss == test::evaluate(session.model, samples[i], session.parameters, session.times).loss);
}

TEST_CASE("an overflow or exception in one batch slot does not stop the others", "[model][slots][overflow]") {
  TrainedLlama session(tiny(2, true), DType::fp16, 2, 2);
  std::vector<data::Sample> samples = samples_for(session.config, 2);
  std::vector<StepResult> results(samples.size());
  const auto step = [&](float scale) {
    session.model.step(samples, session.parameters, scale, session.gradients, results, session.times);
  };
  test::load(session.model.kernels(), PassMode::training, session.parameters);
  step(1e9F);
  for (const StepResult& result : results) CHECK(result.overflow);
  CHECK(session.rig.surfaces.counters().live == 0);

  session.model.kernels().compile(PassMode::forward, session.parameters);
  CHECK_THROWS_WITH(step(1), ANE_CONTAINS("has not been compiled"));
  CHECK(session.rig.surfaces.counters().live == 0);

  test::load(session.model.kernels(), PassMode::training, session.parameters);
  samples.back().tokens.back() = 11;
  CHECK_THROWS_WITH(step(1), ANE_CONTAINS("token 11, but the vocabulary has 11"));
  samples.back().tokens.back() = 0;
  step(1);
  for (const StepResult& result : results) CHECK_FALSE(result.overflow);
}

TEST_CASE("each batch slot needs as many surfaces as a single one", "[model][slots][surfaces]") {
  TrainedLlama alone(tiny(2, true), DType::fp16, 1);
  train_on_five(alone);
  TrainedLlama together(tiny(2, true), DType::fp16, 2, 2);
  for (int i = 0; i < 10; ++i) train_on_five(together);
  CHECK(together.rig.surfaces.counters().created <= 2 * alone.rig.surfaces.counters().created);
}

TEST_CASE("there are no more batch slots than threads", "[model][slots]") {
  CHECK(TrainedLlama(tiny(2, true), DType::fp16, 2, 3).model.batch_slots() == 2);
}

TEST_CASE("evaluate() gives the loss of step() and keeps the logits", "[model][step]") {
  TrainedLlama session(tiny(2, false), DType::fp16);
  test::load(session.model.kernels(), PassMode::training, session.parameters);
  const double loss = test::evaluate(session.model, session.sample, session.parameters, session.times).loss;
  const auto logits = session.model.logits();
  CHECK(logits.size() == session.config.seq_len * session.config.vocab);
  CHECK(std::any_of(logits.begin(), logits.end(), [](float value) { return value > 0.1F; }));
  CHECK(session.step().loss == loss);
  CHECK_THROWS(session.model.residual(session.config.layers));
}

TEST_CASE("steps are bit-identical however often they are repeated", "[model][step]") {
  TrainedLlama session(tiny(2, true), DType::fp16);
  test::load(session.model.kernels(), PassMode::training, session.parameters);
  session.step(64);
  const std::vector<float> first = session.gradients;
  test::load(session.model.kernels(), PassMode::training, session.parameters);
  std::fill(session.gradients.begin(), session.gradients.end(), 0.0F);
  session.step(64);
  CHECK(session.gradients == first);
}

TEST_CASE("only shared kernels survive from one compile round to the next", "[model][compile]") {
  TrainedLlama session(tiny(2, true), DType::fp16);
  CHECK(session.model.kernels().compiles_needed(PassMode::training) == 5 * 2 + 1);
  CHECK(session.model.kernels().compiles_needed(PassMode::forward) == 2 * 2);
  test::load(session.model.kernels(), PassMode::training, session.parameters);
  CHECK(session.model.kernels().compiles_needed(PassMode::training) == 5 * 2);

  session.model.kernels().compile(PassMode::forward, session.parameters);
  CHECK_NOTHROW(test::evaluate(session.model, session.sample, session.parameters, session.times));
  CHECK_THROWS_WITH(session.step(), ANE_CONTAINS("has not been compiled"));
}

TEST_CASE("after the first step, steps create no surfaces and release all of them", "[model][surfaces]") {
  TrainedLlama session(tiny(2, true), DType::fp16);
  test::load(session.model.kernels(), PassMode::training, session.parameters);
  session.step();
  const auto created = session.rig.surfaces.counters().created;
  CHECK(created > 0);
  CHECK(session.rig.surfaces.counters().live == 0);
  session.step();
  CHECK(session.rig.surfaces.counters().created == created);
  CHECK(session.rig.surfaces.counters().live == 0);
}

TEST_CASE("after the first step, steps allocate no memory", "[model][memory]") {
  const PlanChoice plan = GENERATE(PlanChoice::split, PlanChoice::merged);
  const DType element = GENERATE(DType::fp16, DType::fp32);
  const WeightMode weights = GENERATE(WeightMode::baked, WeightMode::dynamic);
  const KernelOptions options(element, weights, plan);
  TrainedLlama session(tiny(2, true), packed(GENERATE(Packing::width, Packing::channels), options));
  test::load(session.model.kernels(), PassMode::training, session.parameters);
  session.step();
  test::evaluate(session.model, session.sample, session.parameters, session.times);
  const long before = ane::test::allocation_count();
  session.step();
  CHECK(ane::test::allocation_count() == before);
  test::evaluate(session.model, session.sample, session.parameters, session.times);
  CHECK(ane::test::allocation_count() == before);
}

TEST_CASE("an exception in the middle of a step releases the surfaces", "[model][surfaces]") {
  TrainedLlama session(tiny(2, true), DType::fp16);
  session.model.kernels().compile(PassMode::forward, session.parameters);
  CHECK_THROWS_AS(session.step(), Error);  // at the first backward kernel, while all taps are in use
  CHECK(session.rig.surfaces.counters().live == 0);
}

TEST_CASE("a gradient beyond the range of fp16 is an overflow that names it", "[model][overflow]") {
  TrainedLlama session(tiny(2, true), DType::fp16);
  test::load(session.model.kernels(), PassMode::training, session.parameters);
  const StepResult result = session.step(1e9F);
  REQUIRE(result.overflow);
  CHECK_THAT(*result.overflow, ANE_CONTAINS("dy of ffn_bwd in layer 1 reaches") && ANE_CONTAINS("16384"));
  CHECK(std::isfinite(result.loss));
  CHECK(session.rig.surfaces.counters().live == 0);

  std::fill(session.gradients.begin(), session.gradients.end(), 0.0F);
  CHECK_FALSE(session.step(1).overflow);
}

TEST_CASE("an activation beyond the range of fp16 is an overflow that names it", "[model][overflow]") {
  TrainedLlama session(tiny(2, true), DType::fp16);
  const Parameter& weight = *session.model.parameters().find("model.layers.1.mlp.up_proj.weight");
  std::ranges::fill(slice(std::span(session.parameters), weight), 30000.0F);
  test::load(session.model.kernels(), PassMode::training, session.parameters);
  const StepResult result = session.step();
  REQUIRE(result.overflow);
  CHECK_THAT(*result.overflow, ANE_CONTAINS("of ffn_fwd in layer 1"));
  const StepResult forward = test::evaluate(session.model, session.sample, session.parameters, session.times);
  CHECK(forward.overflow == result.overflow);
}

TEST_CASE("a NaN parameter is an overflow, also in fp32", "[model][overflow]") {
  TrainedLlama session(tiny(2, true), DType::fp32);
  session.parameters[session.model.parameters().find("model.norm.weight")->offset] = std::nanf("");
  test::load(session.model.kernels(), PassMode::training, session.parameters);
  CHECK(session.step().overflow == "the loss is not finite");
  session.parameters[session.model.parameters().find("model.layers.0.self_attn.v_proj.weight")->offset] = std::nanf("");
  test::load(session.model.kernels(), PassMode::training, session.parameters);
  const StepResult result = session.step();
  REQUIRE(result.overflow);
  CHECK_THAT(*result.overflow, ANE_CONTAINS("of attn_fwd in layer 0 is not finite"));
}

TEST_CASE("a sample that does not fit the model is refused", "[model][step]") {
  TrainedLlama session(tiny(2, true), DType::fp32);
  test::load(session.model.kernels(), PassMode::training, session.parameters);
  session.sample.tokens.back() = 11;
  CHECK_THROWS_WITH(session.step(), ANE_CONTAINS("token 11, but the vocabulary has 11"));
  session.sample.tokens.pop_back();
  CHECK_THROWS_WITH(session.step(), ANE_CONTAINS("has 9 tokens, expected 10"));
}

TEST_CASE("new weights have the deviations of llama2.c and depend on the seed", "[model][initialize]") {
  Rig rig;
  const ModelConfig config = {
      .dim = 64, .hidden = 96, .layers = 2, .heads = 4, .kv_heads = 4, .head_dim = 16, .vocab = 200, .seq_len = 8};
  const Llama model(config, DType::fp16, rig.context);
  std::vector<float> values(model.parameters().size(), -1.0F);
  model.initialize(values, 7);
  const auto deviation = [&](const char* name) {
    const auto tensor = slice(std::span<const float>(values), *model.parameters().find(name));
    return std::sqrt(test::dot(tensor, tensor) / static_cast<double>(tensor.size()));
  };
  // Thousands of draws: the estimated deviation is accurate to about 1%.
  CHECK(deviation("model.embed_tokens.weight") == Approx(0.02).epsilon(0.05));
  CHECK(deviation("model.layers.1.self_attn.q_proj.weight") == Approx(0.02).epsilon(0.05));
  CHECK(deviation("model.layers.1.mlp.up_proj.weight") == Approx(0.02).epsilon(0.05));
  CHECK(deviation("model.layers.0.self_attn.o_proj.weight") == Approx(0.01).epsilon(0.05));
  CHECK(deviation("model.layers.1.mlp.down_proj.weight") == Approx(0.01).epsilon(0.05));
  const auto norm =
      slice(std::span<const float>(values), *model.parameters().find("model.layers.0.post_attention_layernorm.weight"));
  CHECK(std::ranges::all_of(norm, [](float value) { return value == 1.0F; }));

  std::vector<float> again(values.size());
  model.initialize(again, 7);
  CHECK(again == values);
  model.initialize(again, 8);
  CHECK(again[0] != values[0]);
  const auto& q_proj = *model.parameters().find("model.layers.0.self_attn.q_proj.weight");
  const auto& k_proj = *model.parameters().find("model.layers.0.self_attn.k_proj.weight");
  CHECK(values[q_proj.offset] != values[k_proj.offset]);
}

TEST_CASE("new biases are zero and new norms of heads are one", "[model][initialize]") {
  const auto [family, name, expected] =
      GENERATE(table<Family, std::string, float>({{Family::qwen2, "model.layers.1.self_attn.k_proj.bias", 0.0F},
                                                  {Family::qwen3, "model.layers.1.self_attn.k_norm.weight", 1.0F}}));
  Rig rig;
  const Llama model(tiny(2, true, 4, family), DType::fp16, rig.context);
  std::vector<float> values(model.parameters().size(), -1.0F);
  model.initialize(values, 7);
  const Parameter* const parameter = model.parameters().find(name);
  REQUIRE(parameter != nullptr);
  CHECK_FALSE(parameter->decays());
  for (const float value : slice(std::span<const float>(values), *parameter)) CHECK(value == expected);
}

TEST_CASE("the summary of stories110m equals that of the field's drivers", "[model][summary]") {
  Rig rig;
  const Llama model({.dim = 768,
                     .hidden = 2048,
                     .layers = 12,
                     .heads = 12,
                     .kv_heads = 12,
                     .head_dim = 64,
                     .vocab = 32000,
                     .seq_len = 256},
                    DType::fp16, rig.context);
  const ModelSummary summary = model.summary();
  CHECK(dashboard_line(model.config()) == "dim=768 hidden=2048 heads=12 seq=256 vocab=32000 layers=12");
  CHECK(summary.transformer_parameters == 84'953'856);
  CHECK(summary.embedding_parameters == 24'576'000);
  const auto millions = [](double flops) { return std::llround(flops / 1e6); };
  CHECK(millions(summary.flops_per_step.forward) == 43487);
  CHECK(millions(summary.flops_per_step.backward_dx) == 43487);
  CHECK(millions(summary.flops_per_step.backward_dw) == 43487);
  CHECK(millions(summary.flops_per_step.sdpa_backward) == 6040);
  CHECK(millions(summary.flops_per_step.total()) == 174248);
  CHECK(millions(summary.flops_per_step.on_device()) == 93013);

  CHECK(model.kernels().compiles_needed(PassMode::training) == 61);
  int weight_bearing = 0;
  int shared = 0;
  std::size_t weight_bytes = 0;
  for (const KernelInfo& kernel : model.kernels().infos()) {
    (kernel.recompiled > 0 ? weight_bearing : shared) += kernel.copies;
    if (kernel.name == "ffn_fwd") weight_bytes = kernel.weight_bytes;
    CHECK(kernel.forward == (kernel.name == "attn_fwd" || kernel.name == "ffn_fwd"));
  }
  CHECK(weight_bearing == 60);
  CHECK(shared == 1);
  CHECK(weight_bytes == 3 * 768 * 2048 * 2);
}

TEST_CASE("the merged plan needs 48 compiles for twelve layers, so that 100 suffice for two updates", "[model][plan]") {
  Rig rig;
  const ModelConfig config = {
      .dim = 24, .hidden = 32, .layers = 12, .heads = 2, .kv_heads = 2, .head_dim = 12, .vocab = 11, .seq_len = 8};
  Llama model(config, {DType::fp16, WeightMode::baked, PlanChoice::merged}, rig.context);
  CHECK(model.kernels().compiles_needed(PassMode::training) == 48);
  std::vector<float> parameters(model.parameters().size());
  model.kernels().compile(PassMode::training, parameters);
  CHECK(model.kernels().compiles_needed(PassMode::training) == 48);
}

TEST_CASE("kernels that take weights as input are compiled once, whatever the layers and updates", "[model][dynamic]") {
  const PlanChoice plan = GENERATE(PlanChoice::split, PlanChoice::merged);
  const Family family = GENERATE(Family::llama, Family::qwen2, Family::qwen3);
  TrainedLlama session(tiny(2, true, 4, family), {DType::fp16, WeightMode::dynamic, plan});
  Llama& model = session.model;
  const int kinds = plan == PlanChoice::split ? 6 : 4;
  CHECK(model.kernels().compiles_needed(PassMode::training) == kinds);
  CHECK(model.kernels().compiles_needed(PassMode::forward) == 2);
  model.kernels().compile(PassMode::forward, session.parameters);
  CHECK(model.kernels().compiles_needed(PassMode::training) == kinds - 2);
  model.kernels().compile(PassMode::training, session.parameters);
  CHECK(model.kernels().compiles_needed(PassMode::training) == 0);
  CHECK_THROWS_WITH(session.step(), ANE_CONTAINS("the weights of kernel 'attn_fwd' have not been loaded"));
  CHECK(model.kernels().load_weights(PassMode::training, session.parameters));
  REQUIRE_FALSE(session.step().overflow);
  CHECK_FALSE(Llama(session.config, DType::fp16, session.rig.context).kernels().load_weights(PassMode::training, {}));
}

TEST_CASE("new weights in the input give the same results as new kernels", "[model][dynamic]") {
  const KernelOptions options =
      packed(GENERATE(Packing::width, Packing::channels), {GENERATE(DType::fp16, DType::fp32), WeightMode::dynamic});
  TrainedLlama session(tiny(2, true), options);
  test::load(session.model.kernels(), PassMode::training, session.parameters);
  REQUIRE_FALSE(session.step().overflow);
  for (float& value : session.parameters) value *= 0.75F;
  test::load(session.model.kernels(), PassMode::training, session.parameters);
  std::fill(session.gradients.begin(), session.gradients.end(), 0.0F);
  const double loss = session.step().loss;

  TrainedLlama fresh(tiny(2, true), options);
  fresh.parameters = session.parameters;
  test::load(fresh.model.kernels(), PassMode::training, fresh.parameters);
  CHECK(fresh.step().loss == loss);
  CHECK(fresh.gradients == session.gradients);
}

TEST_CASE("baked and dynamic weights give the same step except for rounding", "[model][dynamic]") {
  const auto [kv_heads, tied, head_dim] = GENERATE(
      table<std::size_t, bool, std::size_t>({{4, true, 4}, {2, true, 4}, {1, false, 4}, {2, true, 6}, {2, false, 2}}));
  const PlanChoice plan = GENERATE(PlanChoice::split, PlanChoice::merged);
  const DType element = GENERATE(DType::fp16, DType::fp32);
  TrainedLlama baked(tiny(kv_heads, tied, head_dim), {element, WeightMode::baked, plan});
  TrainedLlama dynamic(tiny(kv_heads, tied, head_dim), {element, WeightMode::dynamic, plan});
  for (TrainedLlama* session : {&baked, &dynamic}) {
    test::load(session->model.kernels(), PassMode::training, session->parameters);
    REQUIRE_FALSE(session->step(element == DType::fp16 ? 256 : 1).overflow);
  }
  // The same rounded tensors, summed in another order: a few units in the last place, some of them across a tie of
  // fp16.
  CHECK(test::relative_error(dynamic.gradients, baked.gradients) <= (element == DType::fp16 ? 2e-3 : 1e-5));
}

// Products read the same numbers in the same order, because weights are copied to memory of the host's choice.
TEST_CASE("weights below the activations give the bits of weights beside them", "[model][dynamic][packing]") {
  const auto [family, kv_heads, tied, head_dim] =
      GENERATE(table<Family, std::size_t, bool, std::size_t>({{Family::llama, 4, true, 4},
                                                              {Family::llama, 2, true, 6},
                                                              {Family::llama, 1, false, 4},
                                                              {Family::llama, 2, false, 2},
                                                              {Family::qwen2, 2, true, 4},
                                                              {Family::qwen2, 1, false, 10},
                                                              {Family::qwen3, 2, true, 4},
                                                              {Family::qwen3, 4, false, 10}}));
  const PlanChoice plan = GENERATE(PlanChoice::split, PlanChoice::merged);
  const DType element = GENERATE(DType::fp16, DType::fp32);
  const WeightMode weights = GENERATE(WeightMode::baked, WeightMode::dynamic);
  const RopeForm rope = GENERATE(RopeForm::matrix, RopeForm::slices);
  CAPTURE(name(family), kv_heads, head_dim, static_cast<int>(plan), mil::name(element), static_cast<int>(weights));
  ModelConfig config = tiny(kv_heads, tied, head_dim, family);
  config.seq_len = GENERATE(std::size_t{9}, std::size_t{32});
  if (kSanitized && (plan == PlanChoice::split) != (config.seq_len == 9)) return;  // each value of both
  const KernelOptions options(element, weights, plan, rope);
  TrainedLlama beside(config, packed(Packing::width, options));
  TrainedLlama below(config, packed(Packing::channels, options));
  std::vector<double> losses;
  for (TrainedLlama* session : {&beside, &below}) {
    test::load(session->model.kernels(), PassMode::training, session->parameters);
    for (int update = 0; update < 2; ++update) {
      const StepResult result = session->step(element == DType::fp16 ? 256 : 1);
      REQUIRE_FALSE(result.overflow);
      losses.push_back(result.loss);
      for (float& value : session->parameters) value *= 0.75F;
      test::load(session->model.kernels(), PassMode::training, session->parameters);
    }
  }
  CHECK(losses[0] == losses[2]);
  CHECK(losses[1] == losses[3]);
  CHECK(below.gradients == beside.gradients);
}

TEST_CASE("RoPE by slices gives the same results as RoPE by a matrix", "[model]") {
  const auto kv_heads = GENERATE(as<std::size_t>(), 4, 2);
  const PlanChoice plan = GENERATE(PlanChoice::split, PlanChoice::merged);
  const DType element = GENERATE(DType::fp16, DType::fp32);
  const WeightMode weights = GENERATE(WeightMode::baked, WeightMode::dynamic);
  TrainedLlama matrix(tiny(kv_heads, true), {element, weights, plan, RopeForm::matrix});
  TrainedLlama slices(tiny(kv_heads, true), {element, weights, plan, RopeForm::slices});
  std::array<double, 2> losses{};
  for (TrainedLlama* session : {&matrix, &slices}) {
    test::load(session->model.kernels(), PassMode::training, session->parameters);
    const StepResult result = session->step(element == DType::fp16 ? 256 : 1);
    REQUIRE_FALSE(result.overflow);
    losses[session == &slices ? 1 : 0] = result.loss;
  }
  // The matrix contains only 0, 1 and -1, so its products are exact.
  CHECK(losses[0] == losses[1]);
  CHECK(slices.gradients == matrix.gradients);
}

TEST_CASE("input surfaces with weights stay in use, and steps create no others", "[model][dynamic][surfaces]") {
  TrainedLlama session(tiny(2, true), {DType::fp16, WeightMode::dynamic});
  test::load(session.model.kernels(), PassMode::training, session.parameters);
  REQUIRE_FALSE(session.step().overflow);
  CHECK(session.rig.surfaces.counters().live == 5 * 2);
  const std::uint64_t created = session.rig.surfaces.counters().created;
  test::load(session.model.kernels(), PassMode::training, session.parameters);
  session.step();
  CHECK(session.rig.surfaces.counters().created == created);
  CHECK(session.rig.surfaces.counters().live == 5 * 2);
}

TEST_CASE("a step releases all surfaces", "[model][surfaces]") {
  const PlanChoice plan = GENERATE(PlanChoice::split, PlanChoice::merged);
  TrainedLlama session(tiny(2, true), {DType::fp16, WeightMode::baked, plan});
  test::load(session.model.kernels(), PassMode::training, session.parameters);
  REQUIRE_FALSE(session.step().overflow);
  CHECK(session.rig.surfaces.counters().live == 0);
  const std::uint64_t created = session.rig.surfaces.counters().created;
  session.step();
  CHECK(session.rig.surfaces.counters().created == created);
}

TEST_CASE("the time of a step is attributed to its parts", "[model][times]") {
  TrainedLlama session(tiny(2, true), DType::fp16);
  test::load(session.model.kernels(), PassMode::training, session.parameters);
  const auto begin = std::chrono::steady_clock::now();
  session.step();
  const Duration wall = std::chrono::steady_clock::now() - begin;
  const StepTimes& times = session.times;
  for (const Duration part : {times.ane, times.io, times.classifier, times.elementwise, times.rms_norm})
    CHECK(part > Duration::zero());
  CHECK(times.ane + times.io + times.classifier + times.elementwise + times.rms_norm + times.blas_wait <= wall);
  StepTimes sum = times;
  sum += times;
  CHECK(sum.ane == 2 * times.ane);
  CHECK(sum.rms_norm == 2 * times.rms_norm);
}

}  // namespace
}  // namespace ane::model
