#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "ane/math/nn.h"

#include "compare.h"
#include "support/catch.h"
#include "support/targets.h"

namespace {

using ane::math::CounterRandom;
using ane::math::normal_values;
using ane::math::relative_error;
using ane::math::ThreadPool;
using ane::math::to_double;
using ane::test::on_every_target;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// fp32 exponentials, accurate to about 2^-22, against float64. Long rows are summed in fp32 in blocks of thousands, on
// the narrowest target one element at a time.
constexpr double kTolerance = 1e-6;
constexpr double kLongTolerance = 1e-5;

double cross_entropy(std::span<float> logits, std::span<const std::uint32_t> targets, float grad_scale,
                     ThreadPool& pool) {
  std::vector<double> losses(targets.size());
  return ane::math::cross_entropy(logits, targets, grad_scale, losses, pool);
}

struct Batch {
  std::size_t seq_len, vocab;
  float size = 3;
  std::vector<float> logits = scaled(normal_values(seq_len * vocab, 1), size);
  std::vector<std::uint32_t> targets = random_targets(seq_len, vocab);

  static std::vector<float> scaled(std::vector<float> values, float factor) {
    for (float& value : values) value *= factor;
    return values;
  }
  static std::vector<std::uint32_t> random_targets(std::size_t count, std::size_t vocab) {
    const CounterRandom random(1, 2);
    std::vector<std::uint32_t> targets(count);
    for (std::size_t i = 0; i < count; ++i) targets[i] = static_cast<std::uint32_t>(random.below(vocab, i));
    return targets;
  }
};

// In float64; the loss is the mean over positions.
struct Reference {
  double loss = 0;
  std::vector<double> gradient;  // of the loss

  Reference(const Batch& batch, std::vector<double> logits) : gradient(std::move(logits)) {
    const auto seq_len = static_cast<double>(batch.seq_len);
    for (std::size_t s = 0; s < batch.seq_len; ++s) {
      const std::span row(gradient.data() + s * batch.vocab, batch.vocab);
      const double max = *std::max_element(row.begin(), row.end());
      double sum = 0;
      for (const double logit : row) sum += std::exp(logit - max);
      loss += (std::log(sum) + max - row[batch.targets[s]]) / seq_len;
      for (double& value : row) value = std::exp(value - max) / sum / seq_len;
      row[batch.targets[s]] -= 1 / seq_len;
    }
  }
};

// gradient = factor / S * (softmax - onehot) -> softmax. Near onehot the difference has few significant digits in any
// precision, so the softmax is compared instead.
template <class T>
std::vector<double> softmax_of(const std::vector<T>& gradient, double factor, const Batch& batch) {
  std::vector<double> softmax = to_double(gradient);
  for (double& value : softmax) value *= static_cast<double>(batch.seq_len) / factor;
  for (std::size_t s = 0; s < batch.seq_len; ++s) softmax[s * batch.vocab + batch.targets[s]] += 1;
  return softmax;
}

TEST_CASE("cross_entropy agrees with float64", "[math][cross_entropy]") {
  const std::size_t seq_len = GENERATE(1U, 2U, 5U, 33U);
  const std::size_t vocab = GENERATE(1U, 2U, 15U, 16U, 17U, 256U, 1001U, 4096U, 9001U);
  CAPTURE(seq_len, vocab);
  const Batch batch{seq_len, vocab};
  const Reference reference(batch, to_double(batch.logits));
  const std::vector<double> softmax = softmax_of(reference.gradient, 1, batch);
  on_every_target([&] {
    ThreadPool pool(2);
    std::vector<float> logits = batch.logits;
    CHECK(std::abs(cross_entropy(logits, batch.targets, 0, pool) - reference.loss) <=
          kTolerance * std::max(1.0, reference.loss));
    CHECK(logits == batch.logits);
    CHECK(std::abs(cross_entropy(logits, batch.targets, 1024, pool) - reference.loss) <=
          kTolerance * std::max(1.0, reference.loss));
    CHECK(relative_error(softmax_of(logits, 1024, batch), softmax) <= (vocab > 1001 ? kLongTolerance : kTolerance));
  });
}

TEST_CASE("cross_entropy's gradient is the slope of its loss", "[math][cross_entropy][gradient]") {
  const Batch batch{3, 7};
  std::vector<double> logits = to_double(batch.logits);
  std::vector<double> slopes;
  constexpr double kStep = 1e-5;
  for (double& logit : logits) {
    const double old = logit;
    logit = old + kStep;
    const double above = Reference(batch, logits).loss;
    logit = old - kStep;
    const double below = Reference(batch, logits).loss;
    logit = old;
    slopes.push_back((above - below) / (2 * kStep));
  }
  ThreadPool pool(1);
  std::vector<float> gradient = batch.logits;
  CHECK(cross_entropy(gradient, batch.targets, 1, pool) == Approx(Reference(batch, logits).loss));
  CHECK(relative_error(gradient, slopes) <= kTolerance);
}

TEST_CASE("cross_entropy's gradients sum to zero in each row", "[math][cross_entropy]") {
  const Batch batch{8, 300};
  ThreadPool pool(2);
  std::vector<float> gradient = batch.logits;
  CHECK(cross_entropy(gradient, batch.targets, 1, pool) > 0);
  for (std::size_t s = 0; s < 8; ++s) {
    double sum = 0;
    for (std::size_t v = 0; v < 300; ++v) sum += static_cast<double>(gradient[s * 300 + v]);
    CHECK(std::abs(sum) <= kTolerance / 8);
  }
}

TEST_CASE("equal logits cost the logarithm of the vocabulary", "[math][cross_entropy]") {
  const float level = GENERATE(0.0F, 1.0F, -1e4F, 3e38F);
  CAPTURE(level);
  std::vector<float> logits(2 * 50, level);
  const std::vector<std::uint32_t> targets{0, 49};
  ThreadPool pool(1);
  CHECK(cross_entropy(logits, targets, 0, pool) == Approx(std::log(50.0)).epsilon(1e-7));
}

TEST_CASE("huge and minus infinite logits are exact", "[math][cross_entropy]") {
  ThreadPool pool(1);
  const std::vector<std::uint32_t> first{0};
  std::vector<float> certain{1e5F, -1e5F, -kInfinity, 0};
  CHECK(cross_entropy(certain, first, 1, pool) == 0);
  CHECK(certain == std::vector<float>{0, 0, 0, 0});
  std::vector<float> wrong{-1e5F, 1e5F};
  CHECK(cross_entropy(wrong, first, 1, pool) == 2e5);
  CHECK(wrong == std::vector<float>{-1, 1});
}

// Rows are processed in blocks, each relative to the largest value so far.
TEST_CASE("a row may increase or decrease from block to block", "[math][cross_entropy]") {
  const bool rises = GENERATE(true, false);
  constexpr std::size_t kVocab = 20'000;
  constexpr float kSpan = 60;  // e^60 apart
  CAPTURE(rises);
  Batch batch{1, kVocab};
  for (std::size_t i = 0; i < kVocab; ++i) {
    const float height = static_cast<float>(i) / kVocab * kSpan;
    batch.logits[i] += rises ? height : kSpan - height;
  }
  batch.targets[0] = 10'000;
  const Reference reference(batch, to_double(batch.logits));
  on_every_target([&] {
    ThreadPool pool(1);
    std::vector<float> logits = batch.logits;
    CHECK(std::abs(cross_entropy(logits, batch.targets, 1, pool) - reference.loss) <= kTolerance * reference.loss);
    CHECK(relative_error(softmax_of(logits, 1, batch), softmax_of(reference.gradient, 1, batch)) <= kLongTolerance);
  });
}

TEST_CASE("blocks of minus infinity do not contribute", "[math][cross_entropy]") {
  std::vector<float> logits(12'000, -kInfinity);
  logits[5000] = -1e30F;
  logits[11'000] = 1e5F;
  ThreadPool pool(1);
  CHECK(cross_entropy(logits, std::vector<std::uint32_t>{11'000}, 1, pool) == 0);
  CHECK(std::ranges::all_of(logits, [](float value) { return value == 0; }));
  std::vector<float> nothing(12'000, -kInfinity);
  CHECK_FALSE(std::isfinite(cross_entropy(nothing, std::vector<std::uint32_t>{3}, 1, pool)));
}

TEST_CASE("a NaN or infinite logit makes the loss non-finite", "[math][cross_entropy]") {
  const std::size_t place = GENERATE(0U, 3U, 16U, 36U);
  const float bad = GENERATE(std::numeric_limits<float>::quiet_NaN(), kInfinity);
  const float grad_scale = GENERATE(0.0F, 1.0F);
  CAPTURE(place, bad, grad_scale);
  on_every_target([&] {
    Batch batch{1, 37};
    batch.logits[place] = bad;
    ThreadPool pool(1);
    CHECK_FALSE(std::isfinite(cross_entropy(batch.logits, batch.targets, grad_scale, pool)));
  });
}

TEST_CASE("cross_entropy gives the same bits for any number of threads", "[math][cross_entropy]") {
  const Batch batch{37, 129};
  std::vector<float> expected = batch.logits;
  ThreadPool one(1);
  const double loss = cross_entropy(expected, batch.targets, 1, one);
  for (const int threads : {2, 3, 5}) {
    CAPTURE(threads);
    ThreadPool pool(threads);
    std::vector<float> found = batch.logits;
    CHECK(cross_entropy(found, batch.targets, 1, pool) == loss);
    CHECK(found == expected);
  }
}

}  // namespace

TEST_CASE("positions that do not count have neither loss nor gradient", "[math][cross_entropy]") {
  const std::size_t vocab = GENERATE(3U, 17U, 9001U);
  const Batch batch{5, vocab};
  const std::vector<std::uint8_t> loss_mask = {1, 0, 0, 1, 0};
  ThreadPool pool(2);
  on_every_target([&] {
    std::vector<float> all = batch.logits;
    std::vector<double> losses_of_all(5);
    ane::math::cross_entropy(all, batch.targets, 2, losses_of_all, pool);
    std::vector<float> some = batch.logits;
    std::vector<double> losses(5, 7.0);
    const double loss = ane::math::cross_entropy(some, batch.targets, 2, losses, pool, loss_mask);
    CHECK(loss == (losses_of_all[0] + losses_of_all[3]) / 5);
    for (std::size_t s = 0; s < 5; ++s) {
      CHECK(losses[s] == (loss_mask[s] != 0 ? losses_of_all[s] : 0));
      for (std::size_t v = 0; v < vocab; ++v)
        if (some[s * vocab + v] != (loss_mask[s] != 0 ? all[s * vocab + v] : 0)) FAIL("gradient of position " << s);
    }
    std::vector<float> unchanged = batch.logits;
    CHECK(ane::math::cross_entropy(unchanged, batch.targets, 0, losses, pool, loss_mask) == loss);
    CHECK(unchanged == batch.logits);
  });
}
