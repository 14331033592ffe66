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
constexpr double kUpdateTolerance = 1e-6;

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
    CHECK(relative_error(p, reference.p) <= kUpdateTolerance);
    CHECK(relative_error(m, reference.m) <= kUpdateTolerance);
    CHECK(relative_error(v, reference.v) <= kUpdateTolerance);
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
  CHECK(relative_error(p, reference.p) <= kUpdateTolerance);
}

TEST_CASE("adamw's first update has the size of the learning rate", "[math][optimizer]") {
  ThreadPool pool(1);
  std::vector<float> p{0, 0, 0};
  std::vector<float> gradient{100, -0.01F, 0};
  std::vector<float> m(3);
  std::vector<float> v(3);
  CHECK(ane::math::adamw({.lr = 0.5F}, p, gradient, m, v, pool));
  CHECK(p[0] == Approx(-0.5));
  CHECK(p[1] == Approx(0.5).epsilon(1e-5));
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
    CHECK(relative_error(p, expected) <= kUpdateTolerance);
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
    std::vector<float> gradient = spoiled;
    CHECK_FALSE(ane::math::sgd(0.1F, 0, 1, p, gradient, pool));
    const auto finite_with = [&](std::vector<float> values, std::vector<float> m) {
      std::vector<float> other = values;
      std::vector<float> other_m = m;
      std::vector<float> ones(kSize, 1);
      const bool lion = ane::math::lion({.lr = 0.1F}, values, ones, m, pool);
      ones.assign(kSize, 1);
      const bool sgd = ane::math::sgd_momentum({.lr = 0.1F}, other, ones, other_m, pool);
      CHECK(lion == sgd);
      return lion;
    };
    CHECK(finite_with(zeros, zeros));
    CHECK_FALSE(finite_with(spoiled, zeros));
    CHECK_FALSE(finite_with(zeros, spoiled));
    p = zeros;
    gradient.assign(kSize, 1);
    CHECK_FALSE(ane::math::decay_and_step(1, 0.1F, spoiled, p, gradient, pool));
  });
}

TEST_CASE("lion, momentum and Nesterov's step agree with float64", "[math][optimizer]") {
  const std::size_t size = GENERATE(0U, 1U, 17U, 5000U);
  CAPTURE(size);
  const std::vector<float> old = normal_values(size, 1);
  const std::vector<float> gradient = normal_values(size, 2);
  const std::vector<float> old_m = normal_values(size, 3);
  std::vector<double> lion = to_double(old);
  std::vector<double> lion_m = to_double(old_m);
  std::vector<double> sgd = to_double(old);
  std::vector<double> sgd_m = to_double(old_m);
  std::vector<double> ahead(size);
  std::vector<double> nesterov_m = to_double(old_m);
  for (std::size_t i = 0; i < size; ++i) {
    const double g = 0.25 * double{gradient[i]};
    const double mean = 0.75 * lion_m[i] + 0.25 * g;
    lion[i] = lion[i] - 0.05 * 0.01 * lion[i] - 0.05 * (mean > 0 ? 1 : -1);
    lion_m[i] = 0.875 * lion_m[i] + 0.125 * g;
    sgd_m[i] = 0.75 * sgd_m[i] + g;
    sgd[i] -= 0.05 * (sgd_m[i] + 0.01 * sgd[i]);
    nesterov_m[i] = 0.75 * nesterov_m[i] + 0.25 * g;
    ahead[i] = 0.25 * g + 0.75 * nesterov_m[i];
  }
  const std::vector<float> zeros(size, 0);
  on_every_target([&] {
    ThreadPool pool(2);
    std::vector<float> p = old;
    std::vector<float> m = old_m;
    std::vector<float> used = gradient;
    CHECK(ane::math::lion({.lr = 0.05F, .beta1 = 0.75F, .beta2 = 0.875F, .weight_decay = 0.01F, .grad_factor = 0.25F},
                          p, used, m, pool));
    CHECK(relative_error(p, lion) <= kUpdateTolerance);
    CHECK(relative_error(m, lion_m) <= kUpdateTolerance);
    CHECK(used == zeros);
    p = old;
    m = old_m;
    used = gradient;
    CHECK(ane::math::sgd_momentum({.lr = 0.05F, .momentum = 0.75F, .weight_decay = 0.01F, .grad_factor = 0.25F}, p,
                                  used, m, pool));
    CHECK(relative_error(p, sgd) <= kUpdateTolerance);
    CHECK(relative_error(m, sgd_m) <= kUpdateTolerance);
    CHECK(used == zeros);
    m = old_m;
    used = gradient;
    ane::math::nesterov(0.75F, 0.25F, used, m, pool);
    CHECK(relative_error(used, ahead) <= kUpdateTolerance);
    CHECK(relative_error(m, nesterov_m) <= kUpdateTolerance);
  });
}

TEST_CASE("lion does not move where the mean is zero", "[math][optimizer]") {
  ThreadPool pool(1);
  std::vector<float> p = normal_values(100, 1);
  const std::vector<float> old = p;
  std::vector<float> m(100);
  std::vector<float> gradient(100);
  gradient[7] = -1e-30F;
  CHECK(ane::math::lion({.lr = 0.5F}, p, gradient, m, pool));
  for (std::size_t i = 0; i < p.size(); ++i) CHECK(p[i] == (i == 7 ? old[i] + 0.5F : old[i]));
}

}  // namespace
