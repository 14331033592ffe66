#include <array>
#include <cmath>
#include <numeric>

#include "ane/data/sources.h"

#include "support/catch.h"

using namespace ane::data;

namespace {

double mean_square(const std::vector<float>& values) {
  return std::inner_product(values.begin(), values.end(), values.begin(), 0.0) / static_cast<double>(values.size());
}

}  // namespace

TEST_CASE("the teacher's x is standard normal and its y of the same magnitude", "[data]") {
  const auto source = make_teacher_source(32, 64, 128, 7);
  Sample sample;
  source->training_sample(3, sample);
  REQUIRE(sample.x.size() == 32 * 128);
  REQUIRE(sample.y.size() == 32 * 128);
  CHECK(sample.tokens.empty());
  // 4096 draws: the deviation of a mean square is 0.022.
  CHECK(std::abs(mean_square(sample.x) - 1) <= 0.1);
  CHECK(mean_square(sample.y) > 0.3);
  CHECK(mean_square(sample.y) < 3);
  CHECK(source->loss_floor() == 0.0);
}

TEST_CASE("with one channel, the teacher is one line for x > 0 and another for x < 0, in every sample", "[data]") {
  const auto source = make_teacher_source(1, 5, 16, 1);
  std::array<std::vector<double>, 2> slopes;
  Sample sample;
  for (std::uint64_t step = 0; step < 8; ++step) {
    step % 2 == 0 ? source->training_sample(step, sample) : source->validation_sample(step, sample);
    for (std::size_t i = 0; i < sample.x.size(); ++i)
      slopes[sample.x[i] > 0 ? 1 : 0].push_back(double{sample.y[i]} / double{sample.x[i]});
  }
  for (const auto& side : slopes) {
    REQUIRE(side.size() > 10);
    for (const double slope : side) CHECK(std::abs(slope - side[0]) <= 1e-5 * std::abs(side[0]));  // five fp32 products
  }
  CHECK(std::abs(slopes[0][0] - slopes[1][0]) > 0.01);
}

TEST_CASE("teacher samples depend only on seed and step", "[data]") {
  const auto source = make_teacher_source(8, 16, 4, 1);
  const auto again = make_teacher_source(8, 16, 4, 1);
  const auto other = make_teacher_source(8, 16, 4, 2);
  Sample sample;
  Sample repeated;
  source->training_sample(0, sample);
  source->training_sample(9, sample);
  again->training_sample(9, repeated);
  CHECK(sample.x == repeated.x);
  CHECK(sample.y == repeated.y);
  other->training_sample(9, repeated);
  CHECK(sample.x != repeated.x);
  CHECK(sample.y != repeated.y);
  source->validation_sample(9, repeated);
  CHECK(sample.x != repeated.x);
  CHECK(source->validation_count() > 0);
}
