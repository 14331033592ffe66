#include "ane/app/rank_plan.h"

#include <string>

#include "app/program.h"
#include "app/small_run.h"
#include "support/catch.h"

namespace {

using namespace ane::app;
using namespace cli_test;

UpdateCosts some_costs() {
  return {.sequences = 10, .sequence_s = 0.3, .optimizer_s = 0.2, .layer_bytes = 4e8, .other_bytes = 1e8, .layers = 12};
}

}  // namespace

TEST_CASE("the prediction for one rank has no exchange, and a slow link dominates", "[app][plan]") {
  const RankPrediction alone = predict_update(some_costs(), 1, {.bytes_per_s = 1e9, .latency_s = 1e-4});
  CHECK(alone.total_s() == Approx(10 * 0.3 + 0.2));
  const RankPrediction four = predict_update(some_costs(), 4, {.bytes_per_s = 1e8, .latency_s = 0});
  CHECK(four.compute_s == Approx(3 * 0.3));  // ten sequences on four ranks: three on two of them
  CHECK(four.optimizer_s == Approx(0.05));
  CHECK(four.layer_sum_s == Approx(3.0));
  CHECK(four.hidden_s == Approx(0.2));
  CHECK(four.exchange_s() == Approx(3.0 - 0.2 + 0.75 + 3.75));
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
