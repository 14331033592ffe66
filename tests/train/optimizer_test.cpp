#include "ane/train/optimizer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "ane/math/random.h"

#include "support/catch.h"
#include "train/slots.h"

using namespace ane::train;

namespace {

ane::model::ParameterLayout three_tensors() {
  ane::model::ParameterLayout layout;
  layout.add({"embedding", {7, 5}, ane::model::Role::embedding});
  layout.add({"norm", {3}, ane::model::Role::norm});
  layout.add({"output", {2, 9}, ane::model::Role::embedding});
  return layout;
}

/// Reference AdamW in float64, in PyTorch's order: decay first.
struct Reference {
  double p, m = 0, v = 0;
  void update(const OptimizerOptions& options, double gradient, double lr, double decay, std::int64_t count) {
    m = options.beta1 * m + (1 - options.beta1) * gradient;
    v = options.beta2 * v + (1 - options.beta2) * gradient * gradient;
    const double m_hat = m / (1 - std::pow(options.beta1, static_cast<double>(count)));
    const double v_hat = v / (1 - std::pow(options.beta2, static_cast<double>(count)));
    p = p - lr * decay * p - lr * m_hat / (std::sqrt(v_hat) + options.eps);
  }
};

}  // namespace

TEST_CASE("AdamW decays only matrices and follows the float64 reference", "[train]") {
  const auto layout = three_tensors();
  ane::math::ThreadPool threads(2);
  StateArena state(layout.size(), kAdamWSlots, 1);
  OptimizerOptions options;
  options.weight_decay = 0.3;
  std::vector<float> gradients(layout.size());
  std::vector<Reference> reference(layout.size());
  const ane::math::CounterRandom random(5, 1);
  for (const auto& parameter : layout.parameters())
    for (std::size_t i = parameter.offset; i < parameter.offset + parameter.count; ++i) {
      state.parameters()[i] = static_cast<float>(random.normal(i));
      reference[i].p = double{state.parameters()[i]};
    }

  for (std::int64_t update = 1; update <= 5; ++update) {
    const double lr = 0.01 * static_cast<double>(update);
    for (const auto& parameter : layout.parameters())
      for (std::size_t i = parameter.offset; i < parameter.offset + parameter.count; ++i) {
        gradients[i] = static_cast<float>(random.normal(1000 * static_cast<std::uint64_t>(update) + i));
        reference[i].update(options, 0.25 * double{gradients[i]}, lr, parameter.decays() ? 0.3 : 0, update);
      }
    CHECK(apply_update(options, {.lr = lr, .grad_factor = 0.25, .update_count = update}, layout, gradients, state,
                       threads) == std::nullopt);
    CHECK(std::all_of(gradients.begin(), gradients.end(), [](float g) { return g == 0; }));
  }
  for (std::size_t i = 0; i < layout.size(); ++i) {
    CAPTURE(i);
    // Five fp32 updates, each of a few roundings of numbers near 1.
    CHECK(std::abs(double{state.parameters()[i]} - reference[i].p) <= 2e-6);
    CHECK(std::abs(double{state.slot(0)[i]} - reference[i].m) <= 1e-6);
    CHECK(std::abs(double{state.slot(1)[i]} - reference[i].v) <= 1e-6);
  }
}

TEST_CASE("an update that produces a non-finite value names the tensor", "[train]") {
  const auto layout = three_tensors();
  ane::math::ThreadPool threads(2);
  const auto kind = GENERATE(OptimizerKind::adamw, OptimizerKind::sgd);
  StateArena state(layout.size(), optimizer_slots(kind), 1);
  std::vector<float> gradients(layout.size(), 1.0F);
  slice(state.parameters(), layout.at(1))[2] = std::numeric_limits<float>::infinity();
  OptimizerOptions options{.kind = kind};
  CHECK(apply_update(options, {.lr = 0.1}, layout, gradients, state, threads) == layout.at(1).name);
  if (kind == OptimizerKind::sgd) return;
  StateArena fresh(layout.size(), kAdamWSlots, 1);
  std::ranges::fill(gradients, 1.0F);
  options.beta2 = 0.99999998;  // 1 in fp32
  CHECK(apply_update(options, {.lr = 0.1}, layout, gradients, fresh, threads) == layout.at(0).name);
}

TEST_CASE("the norm is that of the scaled gradient, over all tensors", "[train]") {
  const auto layout = three_tensors();
  ane::math::ThreadPool threads(1);
  std::vector<float> gradients(layout.size());
  slice(std::span(gradients), layout.at(0))[3] = 3000;
  slice(std::span(gradients), layout.at(2))[17] = -4000;
  const GradientNorm gradient = gradient_norm(layout, gradients, 0.001, 1, threads);
  CHECK(std::abs(gradient.norm - 5) <= 1e-12);
  CHECK_FALSE(gradient.unusable.has_value());
}

TEST_CASE("a non-finite gradient names its tensor", "[train]") {
  const auto layout = three_tensors();
  ane::math::ThreadPool threads(1);
  const std::size_t tensor = GENERATE(0U, 1U, 2U);
  const float bad = GENERATE(std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                             std::numeric_limits<float>::quiet_NaN());
  std::vector<float> gradients(layout.size(), 1.0F);
  slice(std::span(gradients), layout.at(tensor)).back() = bad;
  const GradientNorm gradient = gradient_norm(layout, gradients, 1, 1, threads);
  REQUIRE(gradient.unusable.has_value());
  CHECK_THAT(*gradient.unusable, ANE_CONTAINS(layout.at(tensor).name) && ANE_CONTAINS("not finite"));
}

TEST_CASE("a finite gradient whose square overflows is unusable unless clipping makes it small", "[train]") {
  const auto layout = three_tensors();
  ane::math::ThreadPool threads(1);
  std::vector<float> gradients(layout.size());
  gradients[0] = 1e30F;
  CHECK_FALSE(gradient_norm(layout, gradients, 1, 1, threads).unusable.has_value());
  CHECK_FALSE(gradient_norm(layout, gradients, 1e-20, 0, threads).unusable.has_value());
  const GradientNorm gradient = gradient_norm(layout, gradients, 1, 0, threads);
  REQUIRE(gradient.unusable.has_value());
  CHECK_THAT(*gradient.unusable, ANE_CONTAINS("1e+30"));
}
