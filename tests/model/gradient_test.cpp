#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "ane/math/nn.h"
#include "ane/model/llama_kernels.h"
#include "ane/model/mlp.h"
#include "ane/model/models.h"

#include "model/rig.h"
#include "support/catch.h"
#include "support/sanitized.h"

// Every kernel's backward against central differences of its forward, in fp32 on the host device, and the norm of heads
// against its definition.
namespace ane::model {
namespace {

using mil::DType;
using test::dot;
using test::Rig;
using NamedValues = std::map<std::string, std::vector<float>>;

// With steps of 2^-7 at values near 1: truncation near 2^-14, fp32 rounding of a sum near 1e-7 * 2^7.
constexpr float kDifference = 0x1p-7F;
constexpr double kBound = 2e-3;

/// Compiles and runs one kernel on named segments.
NamedValues run(Rig& rig, const KernelDefinition& definition, const ParameterLayout& layout,
                const std::vector<float>& parameters, const std::string& prefix, const NamedValues& inputs) {
  KernelTemplate kind(definition, DType::fp32);
  const auto kernel = kind.compile(rig.device, prefix, {layout, parameters}, rig.threads);
  surface::Surface input = rig.surfaces.acquire(definition.input.surface().size_bytes);
  surface::Surface output = rig.surfaces.acquire(definition.output.surface().size_bytes);
  {
    const auto mapping = input.map_for_write();
    for (const Segment& segment : definition.input.segments())
      write_segment({definition.input, mapping.bytes()}, segment.name, inputs.at(segment.name), rig.threads);
  }
  const std::array in = {&input};
  const std::array out = {&output};
  kernel->run(in, out);

  NamedValues outputs;
  const auto mapping = output.map_for_read();
  for (const Segment& segment : definition.output.segments()) {
    std::vector<float>& values = outputs[segment.name];
    values.resize(segment.channels * definition.output.width());
    read_segment({definition.output, mapping.bytes()}, segment.name, values, rig.threads);
  }
  return outputs;
}

/// d loss / d values, element by element.
template <class Loss>
std::vector<float> numeric_gradient(std::span<float> values, Loss&& loss) {
  std::vector<float> gradient;
  for (float& value : values) {
    const float kept = value;
    value = kept + kDifference;
    const double above = loss();
    value = kept - kDifference;
    const double below = loss();
    value = kept;
    gradient.push_back(static_cast<float>((above - below) / (2 * static_cast<double>(kDifference))));
  }
  return gradient;
}

/// dy x^T for dy [out, S], x [in, S].
std::vector<float> outer(const std::vector<float>& dy, const std::vector<float>& x, std::size_t seq_len) {
  std::vector<float> product;
  for (std::size_t o = 0; o < dy.size() / seq_len; ++o)
    for (std::size_t i = 0; i < x.size() / seq_len; ++i)
      product.push_back(static_cast<float>(
          dot(std::span(dy).subspan(o * seq_len, seq_len), std::span(x).subspan(i * seq_len, seq_len))));
  return product;
}

ModelConfig tiny(std::size_t heads, std::size_t kv_heads, std::size_t head_dim = 4, Family family = Family::llama) {
  return {.family = family,
          .dim = 4 * heads,
          .hidden = 6,
          .layers = 1,
          .heads = heads,
          .kv_heads = kv_heads,
          .head_dim = head_dim,
          .vocab = 7,
          .seq_len = 5};
}

std::vector<float> random_weights(const ParameterLayout& layout) {
  std::vector<float> parameters = test::random_values(layout.size(), 0.4, 11);
  return parameters;
}

TEST_CASE("the attention kernels' backward agrees with finite differences", "[model][gradient]") {
  const auto [heads, kv_heads, head_dim, family] =
      GENERATE(table<std::size_t, std::size_t, std::size_t, Family>({{2, 2, 4, Family::llama},
                                                                     {4, 2, 4, Family::llama},
                                                                     {3, 1, 4, Family::llama},
                                                                     {4, 2, 6, Family::llama},
                                                                     {2, 1, 2, Family::llama},
                                                                     {2, 1, 4, Family::qwen2},
                                                                     {2, 1, 4, Family::qwen3}}));
  CAPTURE(heads, kv_heads, head_dim, name(family));
  const ModelConfig config = tiny(heads, kv_heads, head_dim, family);
  const ParameterLayout layout = parameter_layout(config);
  std::vector<float> parameters = random_weights(layout);
  const std::string prefix = "model.layers.0.";
  Rig rig;

  std::vector<float> xn = test::random_values(config.dim * config.seq_len, 1, 1);
  const std::vector<float> dout = test::random_values(config.dim * config.seq_len, 1, 2);
  const KernelDefinition forward = attn_fwd(config, DType::fp32);
  const auto loss = [&] { return dot(run(rig, forward, layout, parameters, prefix, {{"xn", xn}}).at("o"), dout); };

  const NamedValues taps = run(rig, forward, layout, parameters, prefix, {{"xn", xn}});
  NamedValues values = taps;
  values["do"] = dout;
  const PlanChoice choice = kSanitized ? PlanChoice::merged : GENERATE(PlanChoice::split, PlanChoice::merged);
  const KernelPlan plan = llama_plan(config, {DType::fp32, WeightMode::baked, choice});
  for (const PlannedKernel& planned : plan.kernels())
    if (planned.phase == Phase::attention_backward)
      values.merge(run(rig, planned.definition, layout, parameters, prefix, values));

  CHECK(test::relative_error(values.at("dxn"), numeric_gradient(xn, loss)) <= kBound);
  const auto check_weight = [&](const char* role, const std::vector<float>& dy, const std::vector<float>& x) {
    INFO(role);
    const std::span<float> weight = slice(std::span(parameters), *layout.find(prefix + role + ".weight"));
    CHECK(test::relative_error(outer(dy, x, config.seq_len), numeric_gradient(weight, loss)) <= kBound);
  };
  check_weight("self_attn.q_proj", values.at("dq"), xn);
  check_weight("self_attn.k_proj", values.at("dk"), xn);
  check_weight("self_attn.v_proj", values.at("dv"), xn);
  check_weight("self_attn.o_proj", dout, taps.at("attn"));

  const auto check_sum = [&](const char* name, const char* terms) {
    INFO(name);
    const std::span<float> vector = slice(std::span(parameters), *layout.find(prefix + name));
    std::vector<float> sums(vector.size());
    math::add_channel_sums(values.at(terms), config.seq_len, sums, rig.threads);
    CHECK(test::relative_error(sums, numeric_gradient(vector, loss)) <= kBound);
  };
  if (config.has_qkv_bias()) {
    check_sum("self_attn.q_proj.bias", "dq");
    check_sum("self_attn.k_proj.bias", "dk");
    check_sum("self_attn.v_proj.bias", "dv");
  }
  if (config.has_qk_norm()) {
    check_sum("self_attn.q_norm.weight", "q_norm_terms");
    check_sum("self_attn.k_norm.weight", "k_norm_terms");
  }
}

TEST_CASE("the keys of the first position are normalized as defined, with the config's epsilon", "[model][kernels]") {
  ModelConfig config = tiny(2, 1, 4, Family::qwen3);
  config.norm_eps = GENERATE(1e-6, 0.3);
  const double scale = GENERATE(1e-3, 1.0, 1e3);
  CAPTURE(config.norm_eps, scale);
  const ParameterLayout layout = parameter_layout(config);
  const std::vector<float> parameters = random_weights(layout);
  const std::vector<float> xn = test::random_values(config.dim * config.seq_len, scale, 1);
  Rig rig;
  const NamedValues out = run(rig, attn_fwd(config, DType::fp32), layout, parameters, "model.layers.0.", {{"xn", xn}});

  const auto values = [&](const char* name) {
    return slice(std::span<const float>(parameters), *layout.find(std::string("model.layers.0.self_attn.") + name));
  };
  std::vector<double> keys;
  double squares = 0;
  for (std::size_t channel = 0; channel < config.head_dim; ++channel) {
    double sum = 0;
    for (std::size_t i = 0; i < config.dim; ++i)
      sum += double{values("k_proj.weight")[channel * config.dim + i]} * double{xn[i * config.seq_len]};
    keys.push_back(sum);
    squares += sum * sum;
  }
  const double rms = std::sqrt(squares / static_cast<double>(config.head_dim) + config.norm_eps);
  for (std::size_t channel = 0; channel < config.head_dim; ++channel) {  // RoPE does not rotate position 0
    const double expected = keys[channel] / rms * double{values("k_norm.weight")[channel]};
    // Sums of 8 products of fp32.
    CHECK(std::abs(double{out.at("k")[channel * config.seq_len]} - expected) <= 2e-6);
  }
}

TEST_CASE("the feed-forward kernels' backward agrees with finite differences", "[model][gradient]") {
  const ModelConfig config = tiny(2, 2);
  const ParameterLayout layout = parameter_layout(config);
  std::vector<float> parameters = random_weights(layout);
  const std::string prefix = "model.layers.0.";
  Rig rig;

  std::vector<float> xn = test::random_values(config.dim * config.seq_len, 1, 1);
  const std::vector<float> dy = test::random_values(config.dim * config.seq_len, 1, 2);
  const KernelDefinition forward = ffn_fwd(config, DType::fp32);
  const auto loss = [&] { return dot(run(rig, forward, layout, parameters, prefix, {{"xn", xn}}).at("y"), dy); };

  const NamedValues taps = run(rig, forward, layout, parameters, prefix, {{"xn", xn}});
  NamedValues values = taps;
  values["dy"] = dy;
  values.merge(run(rig, ffn_bwd(config, DType::fp32), layout, parameters, prefix, values));

  CHECK(test::relative_error(values.at("dxn"), numeric_gradient(xn, loss)) <= kBound);
  const auto check_weight = [&](const char* role, const std::vector<float>& d, const std::vector<float>& x) {
    INFO(role);
    const std::span<float> weight = slice(std::span(parameters), *layout.find(prefix + role + ".weight"));
    CHECK(test::relative_error(outer(d, x, config.seq_len), numeric_gradient(weight, loss)) <= kBound);
  };
  check_weight("mlp.gate_proj", values.at("dh1"), xn);
  check_weight("mlp.up_proj", values.at("dh3"), xn);
  check_weight("mlp.down_proj", dy, taps.at("gate"));
}

TEST_CASE("the MLP's backward agrees with finite differences", "[model][gradient]") {
  const ModelConfig config = {.family = Family::mlp, .dim = 5, .hidden = 7, .seq_len = 6};
  const ParameterLayout layout = parameter_layout(config);
  std::vector<float> parameters = random_weights(layout);
  Rig rig;
  const std::vector<float> x = test::random_values(config.dim * config.seq_len, 1, 1);
  const std::vector<float> dy = test::random_values(config.dim * config.seq_len, 1, 2);
  const KernelDefinition forward = mlp_fwd(config, DType::fp32);
  const auto loss = [&] { return dot(run(rig, forward, layout, parameters, "", {{"x", x}}).at("y"), dy); };

  const NamedValues taps = run(rig, forward, layout, parameters, "", {{"x", x}});
  const NamedValues back =
      run(rig, mlp_bwd(config, DType::fp32), layout, parameters, "", {{"dy", dy}, {"h", taps.at("h")}});

  const auto check_weight = [&](const char* name, const std::vector<float>& d, const std::vector<float>& input) {
    INFO(name);
    const std::span<float> weight = slice(std::span(parameters), *layout.find(name));
    CHECK(test::relative_error(outer(d, input, config.seq_len), numeric_gradient(weight, loss)) <= kBound);
  };
  check_weight("w1.weight", back.at("dh"), x);
  check_weight("w2.weight", dy, taps.at("h"));
}

}  // namespace
}  // namespace ane::model
