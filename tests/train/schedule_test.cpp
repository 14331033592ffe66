#include "ane/train/schedule.h"

#include <cmath>

#include "support/catch.h"

using namespace ane::train;

TEST_CASE("the constant schedule is lr after linear warm-up", "[train]") {
  const OptimizerOptions options{.lr = 1e-3, .warmup = 4};
  CHECK(lr_at(0, 100, options) == Approx(2.5e-4));
  CHECK(lr_at(1, 100, options) == Approx(5e-4));
  CHECK(lr_at(3, 100, options) == 1e-3);
  CHECK(lr_at(4, 100, options) == 1e-3);
  CHECK(lr_at(99, 100, options) == 1e-3);
  CHECK(lr_at(0, 1, OptimizerOptions{.lr = 0.5}) == 0.5);
}

TEST_CASE("the cosine goes from lr to min_lr, half way in the middle", "[train]") {
  const OptimizerOptions options{.lr = 1.0, .min_lr = 0.2, .warmup = 10, .schedule = ScheduleKind::cosine};
  CHECK(lr_at(4, 110, options) == Approx(0.5));
  CHECK(lr_at(9, 110, options) == 1.0);
  CHECK(lr_at(10, 110, options) == 1.0);
  CHECK(lr_at(60, 110, options) == Approx(0.6));
  CHECK(lr_at(35, 110, options) == Approx(0.6 + 0.4 * std::sqrt(0.5)));
  CHECK(lr_at(110, 110, options) == Approx(0.2));
  for (std::int64_t update = 11; update <= 110; ++update)
    CHECK(lr_at(update, 110, options) < lr_at(update - 1, 110, options));
  CHECK(lr_at(500, 110, options) == 0.2);
}

TEST_CASE("a warm-up as long as the run, or longer, does not divide by zero", "[train]") {
  const OptimizerOptions options{.lr = 1.0, .warmup = 10, .schedule = ScheduleKind::cosine};
  CHECK(lr_at(9, 10, options) == 1.0);
  CHECK(lr_at(4, 5, options) == Approx(0.5));
  CHECK(lr_at(10, 10, options) == 0.0);
}
