#include "ane/train/weight_refresher.h"

#include <atomic>
#include <chrono>
#include <cstring>
#include <numeric>
#include <thread>

#include "ane/core/error.h"

#include "fake_model.h"
#include "harness.h"
#include "runs.h"
#include "support/catch.h"

using namespace ane::train;

namespace {

TrainOptions options_of(RefreshMode refresh_mode) {
  TrainOptions options;
  options.steps = 75;
  options.accum_steps = 4;
  options.optimizer.lr = 0.05;
  options.optimizer.warmup = 3;
  options.loss_scale.largest = options.loss_scale.initial;  // so that no update is skipped unintentionally
  options.refresh_mode = refresh_mode;
  return options;
}

/// Waits for `flag` with a timeout, so that a failing test ends.
template <class Flag>
bool wait_for(const Flag& flag) {
  constexpr int kPatience = 2000;
  for (int i = 0; i < kPatience && !flag(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return flag();
}

}  // namespace

TEST_CASE("in a pipeline a batch runs with the parameters before the last update", "[train][pipeline]") {
  const FakeSource source;
  TrainOptions options = options_of(RefreshMode::pipeline);
  options.steps = 20;
  options.optimizer = {.kind = OptimizerKind::sgd, .lr = 0.01, .weight_decay = 0, .grad_clip = 0};
  options.loss_scale.initial = 64;
  Run run(plain_model, source, options, kPlenty);
  std::vector<double> newest(run.state->parameters().begin(), run.state->parameters().end());
  std::vector<double> running = newest;
  REQUIRE(run.run() == Outcome::finished);

  constexpr std::size_t kBias = 32;  // the first tensor's 20, rounded up to 16
  std::uint64_t step = 0;
  for (std::size_t batch = 0; batch < 5; ++batch) {
    std::vector<double> gradient(newest.size());
    double loss = 0;
    ane::data::Sample sample;
    for (int i = 0; i < 4; ++i) {
      source.training_sample(step++, sample);
      double error = running[kBias] - double{sample.y[0]};
      for (std::size_t j = 0; j < FakeModel::kInputs; ++j) error += running[j] * double{sample.x[j]};
      for (std::size_t j = 0; j < FakeModel::kInputs; ++j) gradient[j] += 2 * error * double{sample.x[j]} / 4;
      gradient[kBias] += 2 * error / 4;
      loss += error * error / 4;
    }
    CHECK(std::abs(run.recorder.updates[batch].mean_loss - loss) <= 1e-5 * loss);  // fp32 parameters, 20 products
    running = newest;
    for (std::size_t j = 0; j < newest.size(); ++j) newest[j] -= 0.01 * gradient[j];
  }
  for (std::size_t j = 0; j < newest.size(); ++j) {
    CHECK(std::abs(double{run.state->parameters()[j]} - newest[j]) <= 1e-5 * (1 + std::abs(newest[j])));
    CHECK(std::abs(double{run.state->running_parameters()[j]} - running[j]) <= 1e-5 * (1 + std::abs(running[j])));
  }
  CHECK_FALSE(same_bits(run.state->parameters(), run.state->running_parameters()));
}

TEST_CASE("a pipeline's parameters have the same bits however the run is divided into processes", "[train][pipeline]") {
  FakeSource source;
  source.poisoned = {1, 13, 30, 31};
  source.held_out = 3;
  TrainOptions options = options_of(RefreshMode::pipeline);
  options.validate_every = 3;
  Run whole(plain_model, source, options, kPlenty);
  REQUIRE(whole.run() == Outcome::finished);
  CHECK(whole.processes == 1);
  CHECK(whole.state->totals().skipped_updates == 3);

  const int max_compiles = GENERATE(5, 6, 7, 9, 20);
  CAPTURE(max_compiles);
  Run cut(plain_model, source, options, max_compiles);
  REQUIRE(cut.run() == Outcome::finished);
  CHECK(cut.processes > 1);
  check_same_result(whole, cut);
  for (std::size_t i = 0; i < whole.recorder.validations.size(); ++i)
    CHECK(cut.recorder.validations[i].loss == whole.recorder.validations[i].loss);

  Run plain(plain_model, source, options_of(RefreshMode::compile), kPlenty);
  REQUIRE(plain.run() == Outcome::finished);
  CHECK_FALSE(same_bits(plain.state->parameters(), whole.state->parameters()));
}

TEST_CASE("a pipeline compiles while a batch runs, and hidden compile time is reported separately",
          "[train][pipeline]") {
  const FakeSource source;
  std::atomic<int> steps_done{0};
  std::atomic<int> begun{0};
  std::atomic<int> overlapped{0};
  const auto watching = model_with([&](FakeModel& model) {
    model.on_step = [&](int steps) {
      steps_done = steps;
      const int batch = (steps - 1) / 4;
      if (batch >= 1 && batch <= 17) static_cast<void>(wait_for([&] { return begun >= batch; }));
    };
    model.on_compile_ahead = [&] {
      const int before = steps_done;
      ++begun;
      if (wait_for([&] { return steps_done > before; })) ++overlapped;
    };
  });
  Run run(watching, source, options_of(RefreshMode::pipeline), kPlenty);
  REQUIRE(run.run() == Outcome::finished);
  const RunTotals& totals = run.state->totals();
  // 19 batches: the first two run with the initial kernels, and nothing is compiled after the last.
  CHECK(overlapped == 17);
  CHECK(totals.compile_rounds == 18);
  CHECK(totals.compiles == 3 + 17 * 2);
  CHECK(totals.hidden_compile_ns > 0);
  REQUIRE(run.recorder.compiles.size() == 18);
  CHECK(run.recorder.compiles[0].kind == CompileEvent::Kind::compile);
  CHECK(run.recorder.compiles[1].kind == CompileEvent::Kind::ahead);
  CHECK(run.recorder.compiles[1].kernels == 2);
  CHECK(totals.startup_ns + totals.compile_ns + totals.train_ns <= totals.booked_until_ns - totals.started_ns);
}

TEST_CASE("run returns with no compile in progress", "[train][pipeline]") {
  const FakeSource source;
  std::atomic<int> in_flight{0};
  Run* current = nullptr;
  const auto slow = model_with([&](FakeModel& model) {
    model.on_compile_ahead = [&] {
      ++in_flight;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      --in_flight;
    };
    model.on_step = [&](int steps) {
      if (steps == 6) current->stop = true;
    };
  });
  Run run(slow, source, options_of(RefreshMode::pipeline), kPlenty);
  current = &run;
  REQUIRE(run.run_once() == Outcome::interrupted);
  CHECK(in_flight == 0);
  CHECK(run.progress().step == 4);
}

TEST_CASE("a pipeline needs a budget of two compile rounds", "[train][pipeline]") {
  const FakeSource source;
  Run run(plain_model, source, options_of(RefreshMode::pipeline), 4);
  CHECK_THROWS_AS(run.run(), ane::UsageError);
  CHECK_THROWS_WITH(run.run(), ANE_CONTAINS("--max-compiles 5"));
  Run enough(plain_model, source, options_of(RefreshMode::pipeline), 5);
  CHECK(enough.run() == Outcome::finished);
  CHECK(enough.state->totals().restarts == 0);  // counted by the program, not here
  for (const auto& event : enough.recorder.restarts) CHECK(event.compiles == 5);
}

TEST_CASE("a failed compile ahead is retried in a fresh process", "[train][pipeline]") {
  const FakeSource source;
  int attempts = 0;
  const auto failing = model_with([&](FakeModel& model) { model.fail_compile = [&] { return ++attempts == 4; }; });
  Run run(failing, source, options_of(RefreshMode::pipeline), kPlenty);
  REQUIRE(run.run() == Outcome::finished);
  CHECK(run.processes == 2);
  REQUIRE(run.recorder.warnings.size() == 1);
  CHECK_THAT(run.recorder.warnings[0], ANE_CONTAINS("out of sorts"));
  Run reference(plain_model, source, options_of(RefreshMode::pipeline), kPlenty);
  REQUIRE(reference.run() == Outcome::finished);
  check_same_result(reference, run);

  attempts = 0;
  const auto hopeless = model_with([&](FakeModel& model) { model.fail_compile = [&] { return ++attempts > 3; }; });
  Run doomed(hopeless, source, options_of(RefreshMode::pipeline), kPlenty);
  CHECK_THROWS_AS(doomed.run(), ane::device::CompileError);
  CHECK(doomed.processes == 2);
}

TEST_CASE("validation in a pipeline is reported for the update whose parameters it used", "[train][pipeline]") {
  FakeSource source;
  source.held_out = 4;
  TrainOptions options = options_of(RefreshMode::pipeline);
  options.steps = 24;
  options.validate_every = 3;
  Run run(plain_model, source, options, kPlenty);
  REQUIRE(run.run() == Outcome::finished);
  REQUIRE(run.recorder.validations.size() == 2);
  CHECK(run.recorder.validations[0].update == 2);
  CHECK(run.recorder.validations[1].update == 6);  // at the end the newest are compiled
  CHECK(run.recorder.validations[1].loss == validation_loss(source, 4, run.state->parameters()));
}

TEST_CASE("dynamic weights need no further compiles, rounds or restarts", "[train]") {
  FakeSource source;
  source.held_out = 2;
  Run baked(plain_model, source, options_of(RefreshMode::compile), kPlenty);
  REQUIRE(baked.run() == Outcome::finished);
  Run run(model_with([](FakeModel& model) { model.takes_weights = true; }), source, options_of(RefreshMode::compile),
          3);
  REQUIRE(run.run() == Outcome::finished);
  check_same_result(baked, run);
  CHECK(run.processes == 1);
  CHECK(run.state->totals().compiles == 3);
  CHECK(run.state->totals().compile_rounds == 1);
  CHECK(run.recorder.compiles.size() == 1);
  CHECK(run.recorder.updates[1].compile.count() == 0);
  CHECK(run.recorder.updates[1].weights.count() > 0);
  CHECK(run.state->totals().weights_ns > 0);
  CHECK(baked.state->totals().weights_ns == 0);
}

TEST_CASE("compiles of workers are counted apart and take nothing from the budget", "[train][workers]") {
  FakeSource source;
  source.held_out = 2;
  const RefreshMode refresh_mode = GENERATE(RefreshMode::compile, RefreshMode::pipeline);
  Run plain(plain_model, source, options_of(refresh_mode), kPlenty);
  REQUIRE(plain.run() == Outcome::finished);
  Run run(model_with([](FakeModel& model) { model.has_workers = true; }), source, options_of(refresh_mode), 7);
  REQUIRE(run.run() == Outcome::finished);
  check_same_result(plain, run);
  CHECK(run.processes == 1);
  CHECK(run.state->totals().compiles == 0);
  CHECK(run.state->totals().worker_compiles == plain.state->totals().compiles);
  CHECK(run.state->totals().compile_rounds == plain.state->totals().compile_rounds);
  CHECK(plain.state->totals().worker_compiles == 0);
  for (const StepEvent& step : run.recorder.steps) CHECK(step.compiles <= 2);  // a round ahead in progress
}

TEST_CASE("a compile that is stopped ends the run at its last update", "[train][workers]") {
  const FakeSource source;
  const RefreshMode refresh_mode = GENERATE(RefreshMode::compile, RefreshMode::pipeline);
  Run* current = nullptr;
  int attempts = 0;
  const auto stopping = model_with([&](FakeModel& model) {
    model.fail_compile = [&]() -> bool {
      if (++attempts < 4) return false;
      current->stop = true;
      throw ane::device::CompileStopped();
    };
  });
  Run run(stopping, source, options_of(refresh_mode), kPlenty);
  current = &run;
  CHECK(run.run() == Outcome::interrupted);
  CHECK(run.processes == 1);
  CHECK(run.recorder.warnings.empty());
  CHECK(run.recorder.restarts.empty());
  CHECK(run.state->totals().failed_compiles_in_row == 0);
  CHECK(run.progress().step % 4 == 0);
  CHECK(run.progress().update > 0);
}
