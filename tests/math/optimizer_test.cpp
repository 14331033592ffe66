#include <cmath>
#include <limits>
#include <vector>

#include "ane/math/nn.h"

#include "compare.h"
#include "support/catch.h"
#include "support/targets.h"

namespace {

using ane::math::AdamWStep;
using ane::math::normal_values;
using ane::math::relative_error;
using ane::math::ThreadPool;
using ane::math::to_double;
using ane::test::on_every_target;

// fp32 state against float64, over a few updates.
constexpr double kTolerance = 1e-6;

struct Adam {
  std::vector<double> p, m, v;

  // In the order of operations of PyTorch's AdamW.
  void update(const AdamWStep& step, const std::vector<float>& gradient) {
    const double lr = step.lr;
    const double beta1 = step.beta1;
    const double beta2 = step.beta2;
    const auto t = static_cast<double>(step.update);
    for (std::size_t i = 0; i < p.size(); ++i) {
      const double g = static_cast<double>(gradient[i]) * static_cast<double>(step.grad_factor);
      p[i] *= 1 - lr * static_cast<double>(step.weight_decay);
      m[i] = beta1 * m[i] + (1 - beta1) * g;
      v[i] = beta2 * v[i] + (1 - beta2) * g * g;
      const double denominator = std::sqrt(v[i]) / std::sqrt(1 - std::pow(beta2, t)) + static_cast<double>(step.eps);
      p[i] -= lr / (1 - std::pow(beta1, t)) * m[i] / denominator;
    }
  }
};

TEST_CASE("adamw agrees with float64 over several updates and zeroes the gradients", "[math][optimizer]") {
  const std::size_t size = GENERATE(0U, 1U, 15U, 16U, 17U, 100U, 4096U, 10'001U);
  const AdamWStep settings = GENERATE(AdamWStep{.lr = 1e-3F},  //
                                      AdamWStep{.lr = 0.01F, .weight_decay = 0.1F, .grad_factor = 1.0F / 1024},
                                      AdamWStep{.lr = 0.1F, .beta1 = 0, .beta2 = 0.999F, .eps = 1e-3F});
  CAPTURE(size, settings.lr);
  on_every_target([&] {
    ThreadPool pool(2);
    std::vector<float> p = normal_values(size, 1);
    std::vector<float> m(size);
    std::vector<float> v(size);
    Adam reference{to_double(p), std::vector<double>(size), std::vector<double>(size)};
    for (std::int64_t update = 1; update <= 5; ++update) {
      AdamWStep step = settings;
      step.update = update;
      std::vector<float> gradient = normal_values(size, 10 + static_cast<std::uint64_t>(update));
      reference.update(step, gradient);
      CHECK(ane::math::adamw(step, p, gradient, m, v, pool));
      CHECK(gradient == std::vector<float>(size, 0));
    }
    CHECK(relative_error(p, reference.p) <= kTolerance);
    CHECK(relative_error(m, reference.m) <= kTolerance);
    CHECK(relative_error(v, reference.v) <= kTolerance);
  });
}

TEST_CASE("adamw's bias correction holds from the first update to the millionth", "[math][optimizer]") {
  const auto update = GENERATE(std::int64_t{1}, std::int64_t{2}, std::int64_t{1000}, std::int64_t{1'000'000});
  CAPTURE(update);
  const AdamWStep step{.lr = 0.01F, .beta2 = 0.9999F, .update = update};
  ThreadPool pool(1);
  std::vector<float> p(50);
  std::vector<float> m = normal_values(50, 2);
  std::vector<float> v(50, 0.3F);
  std::vector<float> gradient = normal_values(50, 3);
  Adam reference{to_double(p), to_double(m), to_double(v)};
  reference.update(step, gradient);
  CHECK(ane::math::adamw(step, p, gradient, m, v, pool));
  CHECK(relative_error(p, reference.p) <= kTolerance);
}

TEST_CASE("adamw's first update has the size of the learning rate", "[math][optimizer]") {
  ThreadPool pool(1);
  std::vector<float> p{0, 0, 0};
  std::vector<float> gradient{100, -0.01F, 0};
  std::vector<float> m(3);
  std::vector<float> v(3);
  CHECK(ane::math::adamw({.lr = 0.5F}, p, gradient, m, v, pool));
  CHECK(p[0] == catch_compat::Approx(-0.5));
  CHECK(p[1] == catch_compat::Approx(0.5).epsilon(1e-5));
  CHECK(p[2] == 0);
}

TEST_CASE("adamw gives the same bits for any number of threads", "[math][optimizer]") {
  constexpr std::size_t kSize = 20'003;
  const auto run = [&](int threads) {
    ThreadPool pool(threads);
    std::vector<float> p = normal_values(kSize, 1);
    std::vector<float> gradient = normal_values(kSize, 2);
    std::vector<float> m = normal_values(kSize, 3);
    std::vector<float> v(kSize, 0.5F);
    CHECK(ane::math::adamw({.lr = 0.01F, .weight_decay = 0.1F, .update = 7}, p, gradient, m, v, pool));
    return p;
  };
  const std::vector<float> expected = run(1);
  CHECK(run(2) == expected);
  CHECK(run(3) == expected);
}

TEST_CASE("sgd agrees with float64 and zeroes the gradients", "[math][optimizer]") {
  const std::size_t size = GENERATE(0U, 1U, 17U, 5000U);
  CAPTURE(size);
  const std::vector<float> old = normal_values(size, 1);
  const std::vector<float> gradient = normal_values(size, 2);
  std::vector<double> expected = to_double(old);
  for (std::size_t i = 0; i < size; ++i) {
    expected[i] -= 0.05 * (0.25 * static_cast<double>(gradient[i]) + 0.01 * static_cast<double>(old[i]));
  }
  on_every_target([&] {
    ThreadPool pool(2);
    std::vector<float> p = old;
    std::vector<float> used = gradient;
    CHECK(ane::math::sgd(0.05F, 0.01F, 0.25F, p, used, pool));
    CHECK(relative_error(p, expected) <= kTolerance);
    CHECK(used == std::vector<float>(size, 0));
  });
}

TEST_CASE("an update detects a non-finite parameter or second moment at any position", "[math][optimizer]") {
  constexpr std::size_t kSize = 10'001;  // several parts, and a remainder smaller than a vector
  const std::size_t place = GENERATE(0U, 17U, 5000U, 10'000U);
  const float bad = GENERATE(std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                             std::numeric_limits<float>::quiet_NaN());
  CAPTURE(place, bad);
  on_every_target([&] {
    ThreadPool pool(2);
    const AdamWStep step{.lr = 0.1F};
    const auto updates_to_finite = [&](std::vector<float> p, std::vector<float> m, std::vector<float> v) {
      std::vector<float> gradient(kSize, 1);
      return ane::math::adamw(step, p, gradient, m, v, pool);
    };
    const std::vector<float> zeros(kSize);
    std::vector<float> spoiled = zeros;
    spoiled[place] = bad;
    CHECK(updates_to_finite(zeros, zeros, zeros));
    CHECK_FALSE(updates_to_finite(spoiled, zeros, zeros));
    CHECK_FALSE(updates_to_finite(zeros, spoiled, zeros));
    CHECK_FALSE(updates_to_finite(zeros, zeros, spoiled));
    std::vector<float> p = zeros;
    CHECK_FALSE(ane::math::sgd(0.1F, 0, 1, p, spoiled, pool));
  });
}

}  // namespace
