#include "ane/app/rank_plan.h"

#include <string>

#include "ane/distributed/transfers.h"

#include "app/program.h"
#include "app/small_run.h"
#include "support/catch.h"

namespace {

using namespace ane::app;
using namespace cli_test;

constexpr auto kMB = static_cast<double>(ane::distributed::Transfers::kPieceBytes);

UpdateCosts some_costs() {
  return {.sequences = 10,
          .sequence_s = 0.3,
          .backward_s = 0.2,
          .refresh_s = 0.1,
          .optimizer_s = 0.2,
          .output_bytes = 40 * kMB,
          .layer_bytes = 400 * kMB,
          .input_bytes = 80 * kMB,
          .layers = 10};
}

}  // namespace

TEST_CASE("the prediction for one rank has no exchange, and a slow link dominates", "[app][plan]") {
  const RankPrediction alone = predict_update(some_costs(), 1, {.bytes_per_s = 1e9, .latency_s = 1e-4});
  CHECK(alone.total_s() == Approx(10 * 0.3 + 0.1 + 0.2));
  const RankPrediction four = predict_update(some_costs(), 4, {.bytes_per_s = 100 * kMB, .latency_s = 0});
  CHECK(four.compute_s == Approx(3 * 0.3 + 0.1));  // ten sequences on four ranks: three on two of them
  CHECK(four.optimizer_s == Approx(0.05));
  CHECK(four.hidden_s == Approx(0.2));  // all of the backward pass
  CHECK(four.exchange_s() == Approx(3.9 / 0.95 - 0.2 + 3.9 / 0.95));
}

TEST_CASE("what a fast link has not sent when the backward pass ends is the first layer and what is before it",
          "[app][plan]") {
  const RankPrediction two = predict_update(some_costs(), 2, {.bytes_per_s = 1e4 * kMB, .latency_s = 0});
  CHECK(two.sum_s - two.hidden_s == Approx((80 + 40) * 0.5 / 1e4 / 0.95));
}

TEST_CASE("each piece and each small message costs a latency", "[app][plan]") {
  const RankPrediction two = predict_update(some_costs(), 2, {.bytes_per_s = 1e15 * kMB, .latency_s = 1e-3});
  CHECK(two.sum_s == Approx(1e-3 * (20 + 10 * 20 + 40 + 4)));
  CHECK(two.gather_s == Approx(1e-3 * (20 + 10 * 20 + 40)));
}

TEST_CASE("plan prints its formula, a table up to 64 ranks and what limits them", "[app][plan]") {
  const Words words = {"plan", "--ranks", "3", "--link", "10Gb", "--step-time", "100", "--dim", "32", "--layers", "1"};
  const Result result = run(words);
  CAPTURE(result.out, result.err);
  REQUIRE(result.code == 0);
  CHECK(result.out.find("A sequence takes 100.0 ms") != std::string::npos);
  CHECK(result.out.find("\n   64 ") != std::string::npos);
  CHECK(result.out.find("\n    3*") != std::string::npos);
  CHECK(result.out.find("On 3 ranks, the exchange takes") != std::string::npos);
  CHECK(run({"plan", "--dim", "32", "--layers", "1", "--seq", "16", "--device", "host"}).code == 0);  // measures
  const Result wrong = run({"plan", "--link", "10"});
  CHECK(wrong.code == 2);
  CHECK(wrong.err.find("--link: '10' is not a speed such as 1Gb") != std::string::npos);
}
