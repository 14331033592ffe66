#include <cmath>
#include <limits>
#include <vector>

#include "ane/math/nn.h"

#include "compare.h"
#include "support/catch.h"
#include "support/targets.h"

namespace {

using ane::math::normal_values;
using ane::math::relative_error;
using ane::math::ThreadPool;
using ane::math::to_double;
using ane::test::on_every_target;

constexpr float kEps = 1e-5F;

// fp32 against float64: sums over at most a few hundred channels or positions.
constexpr double kNormTolerance = 1e-6;

// The layer in float64, straight from its formula.
struct NormReference {
  std::size_t channels, seq_len;
  std::vector<double> x, w;

  double r(std::size_t s) const {
    double squares = 0;
    for (std::size_t c = 0; c < channels; ++c) squares += std::pow(x[c * seq_len + s], 2);
    return 1 / std::sqrt(squares / static_cast<double>(channels) + static_cast<double>(kEps));
  }
  std::vector<double> forward() const {
    std::vector<double> y(x.size());
    for (std::size_t s = 0; s < seq_len; ++s) {
      const double factor = r(s);
      for (std::size_t c = 0; c < channels; ++c) y[c * seq_len + s] = w[c] * x[c * seq_len + s] * factor;
    }
    return y;
  }
  // sum(y * dy), whose gradients the backward pass computes.
  double loss(const std::vector<double>& dy) const {
    const std::vector<double> y = forward();
    double sum = 0;
    for (std::size_t i = 0; i < y.size(); ++i) sum += y[i] * dy[i];
    return sum;
  }
};

// d loss / d parameter by central differences; in float64 with this step about ten digits hold.
std::vector<double> numeric_gradient(NormReference& reference, std::vector<double>& parameter,
                                     const std::vector<double>& dy) {
  constexpr double kStep = 1e-5;
  std::vector<double> gradient;
  for (double& value : parameter) {
    const double old = value;
    value = old + kStep;
    const double above = reference.loss(dy);
    value = old - kStep;
    const double below = reference.loss(dy);
    value = old;
    gradient.push_back((above - below) / (2 * kStep));
  }
  return gradient;
}

struct Layer {
  std::size_t channels, seq_len;
  std::vector<float> x = normal_values(channels * seq_len, 1);
  std::vector<float> w = normal_values(channels, 2);
  std::vector<float> dy = normal_values(channels * seq_len, 3);
  std::vector<float> old_dx = normal_values(channels * seq_len, 4);
  std::vector<float> old_dw = normal_values(channels, 5);

  NormReference reference() const { return {channels, seq_len, to_double(x), to_double(w)}; }
};

struct Results {
  std::vector<float> y, r, dx, dw;
  bool operator==(const Results&) const = default;
};

Results run(const Layer& layer, int threads) {
  ThreadPool pool(threads);
  Results out{std::vector<float>(layer.x.size()), std::vector<float>(layer.seq_len), layer.old_dx, layer.old_dw};
  ane::math::rms_norm_forward(layer.x, layer.w, kEps, out.y, out.r, pool);
  ane::math::rms_norm_backward(layer.x, layer.dy, layer.w, out.r, out.dx, out.dx, out.dw, pool);
  return out;
}

std::vector<double> sum(std::vector<double> a, const std::vector<float>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) a[i] += static_cast<double>(b[i]);
  return a;
}

TEST_CASE("rms_norm_forward agrees with float64", "[math][rms_norm]") {
  const std::size_t channels = GENERATE(1U, 2U, 7U, 64U, 288U);
  const std::size_t seq_len = GENERATE(1U, 3U, 15U, 16U, 17U, 33U, 64U, 100U);
  CAPTURE(channels, seq_len);
  const Layer layer{channels, seq_len};
  const NormReference reference = layer.reference();
  std::vector<double> r(seq_len);
  for (std::size_t s = 0; s < seq_len; ++s) r[s] = reference.r(s);
  on_every_target([&] {
    const Results found = run(layer, 2);
    CHECK(relative_error(found.y, reference.forward()) <= kNormTolerance);
    CHECK(relative_error(found.r, r) <= kNormTolerance);
  });
}

TEST_CASE("rms_norm_backward agrees with finite differences and accumulates", "[math][rms_norm][gradient]") {
  const std::size_t channels = GENERATE(1U, 3U, 17U, 40U);
  const std::size_t seq_len = GENERATE(1U, 5U, 16U, 19U, 37U);
  CAPTURE(channels, seq_len);
  const Layer layer{channels, seq_len};
  NormReference reference = layer.reference();
  const std::vector<double> dy = to_double(layer.dy);
  const std::vector<double> dx = sum(numeric_gradient(reference, reference.x, dy), layer.old_dx);
  const std::vector<double> dw = sum(numeric_gradient(reference, reference.w, dy), layer.old_dw);
  constexpr double kCancelling = 4e-6;  // with few channels the two terms of dx nearly cancel
  on_every_target([&] {
    const Results found = run(layer, 2);
    CHECK(relative_error(found.dx, dx) <= kCancelling);
    CHECK(relative_error(found.dw, dw) <= kNormTolerance);
  });
}

TEST_CASE("rms_norm_backward works with a separate base", "[math][rms_norm]") {
  const Layer layer{40, 300};  // more than one block of positions
  Results expected = run(layer, 1);
  ThreadPool pool(2);
  std::vector<float> dx(layer.x.size());
  std::vector<float> dw = layer.old_dw;
  ane::math::rms_norm_backward(layer.x, layer.dy, layer.w, expected.r, layer.old_dx, dx, dw, pool);
  CHECK(dx == expected.dx);
  CHECK(dw == expected.dw);
}

TEST_CASE("rms_norm gives the same bits for any number of threads", "[math][rms_norm]") {
  const std::size_t seq_len = GENERATE(1U, 33U, 100U, 256U, 1000U);
  CAPTURE(seq_len);
  const Layer layer{48, seq_len};
  const Results expected = run(layer, 1);
  CHECK(run(layer, 2) == expected);
  CHECK(run(layer, 5) == expected);
}

TEST_CASE("rms_norm holds for values far from 1", "[math][rms_norm]") {
  const float size = GENERATE(1e-12F, 1e-4F, 1e4F, 1e15F);
  CAPTURE(size);
  Layer layer{64, 20};
  for (float& value : layer.x) value *= size;
  const NormReference reference = layer.reference();
  CHECK(relative_error(run(layer, 1).y, reference.forward()) <= kNormTolerance);
}

TEST_CASE("rms_norm of zeros is zero and has a gradient", "[math][rms_norm]") {
  Layer layer{4, 3};
  layer.x.assign(12, 0);
  const Results found = run(layer, 1);
  CHECK(found.y == std::vector<float>(12, 0));
  CHECK(found.r.front() == Approx(1 / std::sqrt(1e-5)));
  CHECK(std::isfinite(found.dx.front()));
}

TEST_CASE("rms_norm of a NaN affects only its position", "[math][rms_norm]") {
  Layer layer{8, 20};
  layer.x[3 * 20 + 5] = std::numeric_limits<float>::quiet_NaN();
  const Results found = run(layer, 2);
  for (std::size_t s = 0; s < 20; ++s) CHECK(std::isnan(found.y[s]) == (s == 5));
}

TEST_CASE("a product is rounded before it is added: the compiler does not fuse", "[math][rms_norm]") {
  // Fewer positions than any vector has lanes, so that the gradient of w is summed one product after another.
  constexpr std::size_t kChannels = 64;
  constexpr std::size_t kSeq = 3;
  const std::vector<float> x = normal_values(kChannels * kSeq, 1);
  const std::vector<float> dy = normal_values(kChannels * kSeq, 2);
  const std::vector<float> w(kChannels, 1);
  const std::vector<float> r = {1.1F, 0.9F, 1.3F};
  const std::vector<float> base(kChannels * kSeq, 0);
  std::vector<float> expected(kChannels);
  for (std::size_t c = 0; c < kChannels; ++c) {
    volatile float total = 0;
    for (std::size_t s = 0; s < kSeq; ++s) {
      volatile float product = x[c * kSeq + s] * r[s];
      product = product * dy[c * kSeq + s];
      total = total + product;
    }
    expected[c] = total;
  }
  on_every_target([&] {
    ThreadPool pool(1);
    std::vector<float> dx(kChannels * kSeq);
    std::vector<float> dw(kChannels);
    ane::math::rms_norm_backward(x, dy, w, r, base, dx, dw, pool);
    CHECK(dw == expected);
  });
}

}  // namespace
