#include "ane/train/trainer.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "ane/core/error.h"
#include "ane/train/checkpoint.h"

#include "fake_model.h"
#include "harness.h"
#include "runs.h"
#include "slots.h"
#include "support/catch.h"
#include "support/temporary_directory.h"

using namespace ane::train;
namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kMinute = 60'000'000'000;

TrainOptions small_options() {
  TrainOptions options;
  options.steps = 75;
  options.accum_steps = 4;
  options.optimizer.lr = 0.05;
  options.optimizer.min_lr = 0.01;
  options.optimizer.warmup = 3;
  options.optimizer.schedule = ScheduleKind::cosine;
  options.loss_scale.growth_interval = 5;
  return options;
}

/// `options` with each optimizer, and SGD both with and without momentum.
std::vector<OptimizerOptions> every_optimizer(const OptimizerOptions& options) {
  std::vector<OptimizerOptions> all;
  for (const OptimizerInfo& info : all_optimizers()) all.push_back(with_optimizer(options, info.kind));
  all.push_back(with_optimizer(options, OptimizerKind::sgd));
  all.back().momentum = 0.9;
  return all;
}

}  // namespace

TEST_CASE("training learns a line with any optimizer", "[train]") {
  const FakeSource source;
  TrainOptions options = small_options();
  options.steps = 4000;
  options.optimizer.weight_decay = 0;
  options.optimizer = GENERATE_COPY(from_range(every_optimizer(options.optimizer)));
  options.optimizer.grad_clip = 0;
  options.loss_scale.largest = 1024;
  CAPTURE(optimizer_info(options.optimizer.kind).name, options.optimizer.momentum);
  const bool is_sgd = options.optimizer.kind == OptimizerKind::sgd;
  if (is_sgd) options.optimizer.lr = options.optimizer.min_lr = options.optimizer.momentum > 0 ? 0.001 : 0.01;
  // Lion and Muon move by the learning rate however small the gradient is, so they end as close as that.
  if (!is_sgd && options.optimizer.kind != OptimizerKind::adamw) options.optimizer.min_lr = 1e-4;
  Run run(plain_model, source, options, kPlenty);
  REQUIRE(run.run() == Outcome::finished);
  for (std::size_t i = 0; i < FakeModel::kInputs; ++i)
    CHECK(std::abs(run.state->parameters()[i] - (static_cast<float>(i % 5) - 2)) <= 0.05);  // noise of 0.01 per sample
  CHECK(run.recorder.updates.front().mean_loss > 1);
  CHECK(run.recorder.updates.back().mean_loss < 0.01);
}

TEST_CASE("a model gets one sequence per batch slot, and the same sequences as without", "[train]") {
  FakeSource source;
  source.held_out = 5;
  TrainOptions options = small_options();
  options.steps = 11;
  options.accum_steps = 5;
  Run one_by_one(plain_model, source, options, kPlenty);
  REQUIRE(one_by_one.run() == Outcome::finished);

  std::vector<std::size_t> groups;
  const auto set_up = [&](FakeModel& made) {
    made.at_once = 3;
    made.on_group = [&](std::size_t samples) { groups.push_back(samples); };
  };
  Run together(model_with(set_up), source, options, kPlenty);
  REQUIRE(together.run() == Outcome::finished);
  CHECK(groups == std::vector<std::size_t>{3, 2, 3, 2, 1});
  check_same_result(together, one_by_one);

  const auto& steps = together.recorder.steps;
  REQUIRE(steps.size() == 11);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    CHECK(steps[i].step == static_cast<std::int64_t>(i) + 1);
    CHECK(steps[i].loss == one_by_one.recorder.steps[i].loss);
    CHECK(steps[i].parts.ane == one_by_one.recorder.steps[i].parts.ane);
  }
  std::vector<bool> more;
  for (const StepEvent& step : steps) more.push_back(step.more_follow);
  CHECK(more == std::vector<bool>{true, true, false, true, false, true, true, false, true, false, false});
  CHECK(together.recorder.validations.back().loss == one_by_one.recorder.validations.back().loss);
}

TEST_CASE("an overflow in one batch slot drops the update", "[train]") {
  const FakeSource source;
  Run run(model_with([](FakeModel& model) {
            model.at_once = 4;
            model.overflow_in_steps = {2};
          }),
          source, small_options(), kPlenty);
  REQUIRE(run.run() == Outcome::finished);
  CHECK(run.recorder.updates.front().skipped == "layers.3.ffn_fwd");
  CHECK_FALSE(run.recorder.updates.at(1).skipped);
}

TEST_CASE("an update averages its sequences' gradients, and the last update gets the remainder", "[train]") {
  const FakeSource source;
  TrainOptions options = small_options();
  options.steps = 7;
  options.optimizer = {.kind = OptimizerKind::sgd, .lr = 0.01, .weight_decay = 0.5, .grad_clip = 0};
  options.loss_scale.initial = 64;
  Run run(plain_model, source, options, kPlenty);
  std::vector<double> w(run.state->parameters().begin(), run.state->parameters().end());
  REQUIRE(run.run() == Outcome::finished);

  constexpr std::size_t kBias = 32;  // the first tensor's 20, rounded up to 16
  std::uint64_t step = 0;
  std::vector<double> norms;
  for (const int sequences : {4, 3}) {
    std::vector<double> gradient(w.size());
    ane::data::Sample sample;
    for (int i = 0; i < sequences; ++i) {
      source.training_sample(step++, sample);
      double error = w[kBias] - double{sample.y[0]};
      for (std::size_t j = 0; j < FakeModel::kInputs; ++j) error += w[j] * double{sample.x[j]};
      for (std::size_t j = 0; j < FakeModel::kInputs; ++j) gradient[j] += 2 * error * double{sample.x[j]} / sequences;
      gradient[kBias] += 2 * error / sequences;
    }
    norms.push_back(std::sqrt(std::inner_product(gradient.begin(), gradient.end(), gradient.begin(), 0.0)));
    for (std::size_t j = 0; j < w.size(); ++j) w[j] -= 0.01 * (gradient[j] + (j == kBias ? 0 : 0.5 * w[j]));
  }
  // fp32 sums of about ten products against float64.
  for (std::size_t j = 0; j < w.size(); ++j)
    CHECK(std::abs(double{run.state->parameters()[j]} - w[j]) <= 1e-6 * (1 + std::abs(w[j])));
  REQUIRE(run.recorder.updates.size() == 2);
  for (std::size_t u = 0; u < 2; ++u) {
    CHECK(std::abs(run.recorder.updates[u].grad_norm - norms[u]) <= 1e-6 * norms[u]);
    CHECK(run.recorder.updates[u].steps_in_batch == (u == 0 ? 4 : 3));
    CHECK(run.recorder.updates[u].step == (u == 0 ? 4 : 7));
  }
}

TEST_CASE("clipping scales the gradient down to the requested norm, and never up", "[train]") {
  const FakeSource source;
  TrainOptions options = small_options();
  options.steps = 4;
  options.optimizer = {.kind = OptimizerKind::sgd, .lr = 1, .weight_decay = 0, .grad_clip = 0.25};
  Run run(plain_model, source, options, kPlenty);
  const auto before = run.parameters();
  const auto moved = [&](Run& finished) {
    REQUIRE(finished.run() == Outcome::finished);
    double sum = 0;
    for (std::size_t i = 0; i < before.size(); ++i) sum += std::pow(finished.state->parameters()[i] - before[i], 2);
    return std::sqrt(sum);
  };
  CHECK(std::abs(moved(run) - 0.25) <= 1e-5);
  const double norm = run.recorder.updates[0].grad_norm;
  CHECK(norm > 0.25);
  options.optimizer.grad_clip = norm * 10;
  Run free(plain_model, source, options, kPlenty);
  CHECK(std::abs(moved(free) - norm) <= 1e-5 * norm);
}

TEST_CASE("the loss scale changes no parameter, because powers of two do not round", "[train]") {
  const FakeSource source;
  TrainOptions options = small_options();
  options.loss_scale = {.dynamic = false, .initial = 1};
  Run one(plain_model, source, options, kPlenty);
  REQUIRE(one.run() == Outcome::finished);
  options.loss_scale.initial = 128;
  Run scaled(plain_model, source, options, kPlenty);
  REQUIRE(scaled.run() == Outcome::finished);
  CHECK(same_bits(one.parameters(), scaled.parameters()));
}

TEST_CASE("parameters have the same bits however the run is divided into processes", "[train][resume]") {
  FakeSource source;
  source.poisoned = {13, 30};
  TrainOptions options = small_options();
  options.optimizer = GENERATE_COPY(from_range(every_optimizer(options.optimizer)));
  CAPTURE(optimizer_info(options.optimizer.kind).name, options.optimizer.momentum);
  if (options.optimizer.kind == OptimizerKind::sgd) options.optimizer.lr = options.optimizer.min_lr = 0.001;
  Run whole(plain_model, source, options, kPlenty);
  REQUIRE(whole.run() == Outcome::finished);
  CHECK(whole.processes == 1);
  CHECK(whole.state->totals().skipped_updates == 2);
  CHECK(whole.progress().update == 19);
  CHECK(whole.progress().optimizer_updates == 17);

  const int max_compiles = GENERATE(3, 4, 5, 7, 20, 30);
  CAPTURE(max_compiles);
  Run cut(plain_model, source, options, max_compiles);
  REQUIRE(cut.run() == Outcome::finished);
  CHECK(cut.processes > 1);
  CHECK(cut.recorder.restarts.size() == static_cast<std::size_t>(cut.processes - 1));
  check_same_result(whole, cut);
  CHECK(cut.state->totals().steps == 75);
  CHECK(cut.state->totals().skipped_updates == 2);
}

TEST_CASE("an interrupted run resumes from its checkpoint with the same bits", "[train][resume]") {
  const TemporaryDirectory directory;
  FakeSource source;
  source.poisoned = {13};
  TrainOptions options = small_options();
  options.optimizer = GENERATE_COPY(from_range(every_optimizer(options.optimizer)));
  CAPTURE(optimizer_info(options.optimizer.kind).name, options.optimizer.momentum);
  if (options.optimizer.kind == OptimizerKind::sgd) options.optimizer.lr = options.optimizer.min_lr = 0.001;
  Run whole(plain_model, source, options, kPlenty);
  REQUIRE(whole.run() == Outcome::finished);

  options.checkpoint_dir = directory.path();
  const int stop_at = GENERATE(1, 8, 10, 14, 74);
  CAPTURE(stop_at);
  Run* current = nullptr;
  const auto stopping = model_with([&](FakeModel& model) {
    model.on_step = [&](int steps) {
      if (steps == stop_at) current->stop = true;
    };
  });
  Run first(stopping, source, options, kPlenty);
  current = &first;
  REQUIRE(first.run() == Outcome::interrupted);
  CHECK(first.progress().step == stop_at / 4 * 4);
  REQUIRE(first.recorder.checkpoints.size() == 1);
  CHECK(first.recorder.steps.size() == static_cast<std::size_t>(stop_at));

  const auto latest = checkpoints_in(directory.path()).front();
  CHECK(latest == first.recorder.checkpoints[0].path);
  Run second(plain_model, source, options, 5);
  FakeModel().initialize(second.state->parameters(), 99);
  const FakeModel fake;
  load_checkpoint(latest, fake.parameters(), *second.state, {.model = fake.config(), .data = "line"});
  CHECK(second.progress().step == first.progress().step);
  REQUIRE(second.run() == Outcome::finished);
  check_same_result(whole, second);
}

TEST_CASE("an incomplete batch leaves no gradients behind", "[train][resume]") {
  const FakeSource source;
  const bool fails = GENERATE(false, true);
  CAPTURE(fails);
  Run* current = nullptr;
  const auto ends_in_the_second_batch = model_with([&](FakeModel& model) {
    model.on_step = [&](int steps) {
      if (steps < small_options().accum_steps + 2) return;
      CHECK(std::ranges::any_of(current->state->gradients(), [](float value) { return value != 0; }));
      if (fails) throw ane::DeviceError("the device is gone");
      current->stop = true;
    };
  });
  Run run(ends_in_the_second_batch, source, small_options(), 100);
  current = &run;
  if (fails) {
    CHECK_THROWS_AS(run.run(), ane::DeviceError);
  } else {
    CHECK(run.run() == Outcome::interrupted);
  }
  CHECK(run.progress().update == 1);
  const RunTotals& totals = run.state->totals();
  CHECK(totals.dropped_steps > 0);
  CHECK(totals.steps - totals.dropped_steps == run.progress().step);
  CHECK(std::ranges::all_of(run.state->gradients(), [](float value) { return value == 0; }));
}

TEST_CASE("a stop that was requested before the start is honored", "[train]") {
  const FakeSource source;
  Run run(plain_model, source, small_options(), kPlenty);
  run.stop = true;
  CHECK(run.run() == Outcome::interrupted);
  CHECK(run.recorder.steps.empty());
  CHECK(run.recorder.compiles.empty());
  run.stop = false;
  CHECK(run.run() == Outcome::finished);
}

TEST_CASE("a run ends after the batch in which its time is over, however it is divided", "[train][resume]") {
  const TemporaryDirectory directory;
  const FakeSource source;
  TrainOptions options = small_options();
  options.checkpoint_dir = directory.path();
  // A batch of 4 sequences takes 4 minutes.
  const auto [minutes, steps] =
      GENERATE(table<double, std::int64_t>({{0.01, 4}, {7.9, 8}, {8, 8}, {8.1, 12}, {74, 75}, {300, 75}}));
  options.max_minutes = minutes;
  const int max_compiles = GENERATE(3, 7, kPlenty);
  CAPTURE(minutes, max_compiles);
  std::int64_t now = 5 * kMinute;
  const auto timed = model_with([&](FakeModel& model) { model.on_step = [&](int) { now += kMinute; }; });
  Run limited(timed, source, options, max_compiles);
  limited.clock = [&] { return now; };
  CHECK(limited.run() == (steps == 75 ? Outcome::finished : Outcome::out_of_time));
  CHECK(limited.progress().step == steps);
  CHECK(limited.state->totals().dropped_steps == 0);
  REQUIRE(limited.recorder.checkpoints.size() == 1);
  CHECK(limited.recorder.checkpoints[0].step == steps);
  if (steps == 75) return;

  options.max_minutes = 0;
  Run resumed(plain_model, source, options, kPlenty);
  const FakeModel fake;
  load_checkpoint(checkpoints_in(directory.path()).front(), fake.parameters(), *resumed.state,
                  {.model = fake.config(), .data = "line"});
  REQUIRE(resumed.run() == Outcome::finished);
  options.checkpoint_dir.reset();
  Run whole(plain_model, source, options, kPlenty);
  REQUIRE(whole.run() == Outcome::finished);
  check_same_result(whole, resumed);
}

TEST_CASE("the time between two processes counts, and a process that starts too late trains nothing", "[train]") {
  const FakeSource source;
  TrainOptions options = small_options();
  options.steps = kUnlimitedSteps;
  options.optimizer.schedule = ScheduleKind::constant;
  std::int64_t now = 0;
  const std::int64_t start_minutes = GENERATE(3, 20);
  const auto timed = model_with([&](FakeModel& model) {
    now += start_minutes * kMinute;
    model.on_step = [&](int) { now += kMinute; };
  });
  options.max_minutes = 10;
  Run run(timed, source, options, 3);  // a process for each update
  run.clock = [&] { return now; };
  CHECK(run.run() == Outcome::out_of_time);
  CHECK(run.processes == 2);
  CHECK(run.progress().update == (start_minutes == 3 ? 2 : 1));
}

TEST_CASE("the time of a run counts from the start of its first process", "[train]") {
  const FakeSource source;
  TrainOptions options = small_options();
  options.max_minutes = 30;
  Run run(plain_model, source, options, kPlenty);
  run.clock = [] { return std::int64_t{0}; };
  run.state->totals().started_ns = monotonic_ns() - 31 * kMinute;  // reading and tokenizing the data, for example
  CHECK(run.run() == Outcome::out_of_time);
  CHECK(run.progress().step == 0);
}

TEST_CASE("a run that is out of time is not validated, and a signal takes precedence", "[train]") {
  FakeSource source;
  source.held_out = 5;
  TrainOptions options = small_options();
  options.max_minutes = 3;
  options.validate_every = 1;
  std::int64_t now = 0;
  const bool stops = GENERATE(false, true);
  Run* current = nullptr;
  const auto timed = model_with([&](FakeModel& model) {
    model.on_step = [&](int steps) {
      now += kMinute;
      if (stops && steps == 4) current->stop = true;
    };
  });
  Run run(timed, source, options, kPlenty);
  current = &run;
  run.clock = [&] { return now; };
  CHECK(run.run() == (stops ? Outcome::interrupted : Outcome::out_of_time));
  CHECK(run.progress().step == 4);
  CHECK(run.recorder.validations.empty());
}

TEST_CASE("a run whose last batch takes longer than its time is finished and validated", "[train]") {
  FakeSource source;
  source.held_out = 5;
  TrainOptions options = small_options();
  options.steps = 4;
  options.max_minutes = 3;
  std::int64_t now = 0;
  Run run(model_with([&](FakeModel& model) { model.on_step = [&](int) { now += kMinute; }; }), source, options,
          kPlenty);
  run.clock = [&] { return now; };
  CHECK(run.run() == Outcome::finished);
  CHECK(run.recorder.validations.size() == 1);
}

TEST_CASE("a run that is out of time with mostly skipped updates has diverged", "[train]") {
  FakeSource source;
  for (std::uint64_t step = 0; step < 40; ++step) source.poisoned.insert(step);
  TrainOptions options = small_options();
  options.max_minutes = 30;
  std::int64_t now = 0;
  Run run(model_with([&](FakeModel& model) { model.on_step = [&](int) { now += kMinute; }; }), source, options,
          kPlenty);
  run.clock = [&] { return now; };
  CHECK_THROWS_AS(run.run(), ane::DivergedError);
}

TEST_CASE("compiles are counted against the budget, shared kernels once per process", "[train]") {
  const FakeSource source;
  TrainOptions options = small_options();
  options.steps = 12;
  options.accum_steps = 4;
  Run one_round_each(plain_model, source, options, 4);
  REQUIRE(one_round_each.run() == Outcome::finished);
  CHECK(one_round_each.processes == 3);
  CHECK(one_round_each.state->totals().compiles == 9);
  CHECK(one_round_each.state->totals().compile_rounds == 3);
  for (const auto& event : one_round_each.recorder.restarts) CHECK(event.compiles == 3);
  CHECK(one_round_each.recorder.restarts[0].step == 4);
  CHECK(one_round_each.recorder.restarts[0].loss == one_round_each.recorder.updates[0].mean_loss);

  Run two_rounds(plain_model, source, options, 5);
  REQUIRE(two_rounds.run() == Outcome::finished);
  CHECK(two_rounds.processes == 2);
  CHECK(two_rounds.state->totals().compiles == 8);
}

TEST_CASE("a budget too small for one update is refused with the smallest sufficient one", "[train]") {
  const FakeSource source;
  Run run(plain_model, source, small_options(), 2);
  CHECK_THROWS_AS(run.run(), ane::UsageError);
  CHECK_THROWS_WITH(run.run(),
                    ANE_CONTAINS("needs 3 compiles") && ANE_CONTAINS("only 2") && ANE_CONTAINS("--max-compiles 3"));
  CHECK(run.recorder.compiles.empty());
  Run enough(plain_model, source, small_options(), 3);
  CHECK(enough.run() == Outcome::finished);
}

TEST_CASE("a skipped update leaves parameters and moments alone and names the tensor", "[train]") {
  const FakeSource source;
  TrainOptions options = small_options();
  options.steps = 8;
  Run run(model_with([](FakeModel& model) { model.overflow_in_steps = {6, 7}; }), source, options, kPlenty);
  TrainOptions half = options;
  half.steps = 4;
  half.optimizer.schedule = options.optimizer.schedule = ScheduleKind::constant;
  Run reference(plain_model, source, half, kPlenty);
  REQUIRE(reference.run() == Outcome::finished);
  REQUIRE(run.run() == Outcome::finished);

  CHECK(same_bits(run.parameters(), reference.parameters()));
  CHECK(same_bits(run.slot(0), reference.slot(0)));
  CHECK(same_bits(run.slot(1), reference.slot(1)));
  CHECK(run.progress().step == 8);
  CHECK(run.progress().update == 2);
  CHECK(run.progress().optimizer_updates == 1);
  CHECK(run.progress().loss_scale == 512);
  REQUIRE(run.recorder.updates[1].skipped.has_value());
  CHECK(*run.recorder.updates[1].skipped == "layers.3.ffn_fwd");
  CHECK(run.recorder.updates[1].loss_scale == 1024);
  REQUIRE(run.recorder.warnings.size() == 1);
  CHECK_THAT(run.recorder.warnings[0],
             ANE_CONTAINS("update 2") && ANE_CONTAINS("layers.3.ffn_fwd") && ANE_CONTAINS("512"));
}

TEST_CASE("unchanged parameters are not compiled again", "[train]") {
  const FakeSource source;
  TrainOptions options = small_options();
  options.steps = 12;
  Run run(model_with([](FakeModel& model) { model.overflow_in_steps = {1}; }), source, options, kPlenty);
  REQUIRE(run.run() == Outcome::finished);
  CHECK(run.state->totals().compile_rounds == 2);
  CHECK(run.recorder.updates[1].compile.count() == 0);
}

TEST_CASE("a non-finite gradient is skipped even if the model did not detect it", "[train]") {
  FakeSource source;
  source.poisoned = {5};
  TrainOptions options = small_options();
  options.steps = 8;
  Run run(plain_model, source, options, kPlenty);
  REQUIRE(run.run() == Outcome::finished);
  CHECK(run.recorder.updates[1].skipped.has_value());
  CHECK(run.progress().last_loss == run.recorder.updates[0].mean_loss);
  for (const float value : run.parameters()) CHECK(std::isfinite(value));
}

TEST_CASE("a loss scale that is too large decreases until gradients fit", "[train]") {
  const FakeSource source;
  TrainOptions options = small_options();
  options.loss_scale.initial = std::ldexp(1.0, 24);
  options.loss_scale.largest = std::ldexp(1.0, 24);
  options.loss_scale.growth_interval = 1000;
  Run run(plain_model, source, options, kPlenty);
  REQUIRE(run.run() == Outcome::finished);
  CHECK(run.state->totals().skipped_updates > 5);
  CHECK(run.progress().skipped_in_row == 0);
  CHECK(run.progress().optimizer_updates > 0);
  CHECK(run.progress().loss_scale < 65536);
}

TEST_CASE("training that always overflows gives up with advice", "[train]") {
  FakeSource source;
  for (std::uint64_t i = 8; i < 100; ++i) source.poisoned.insert(i);
  TrainOptions options = small_options();
  options.loss_scale.give_up_after = 5;
  const int max_compiles = GENERATE(3, kPlenty);
  Run run(plain_model, source, options, max_compiles);
  CHECK_THROWS_AS(run.run(), ane::DivergedError);
  CHECK(run.recorder.updates.size() == 7);
  CHECK(run.progress().update == 2);  // back at the last good one
  CHECK(run.progress().step == 8);
  CHECK(run.progress().loss_scale == 1024);
  CHECK(run.progress().skipped_in_row == 0);
  for (const float value : run.parameters()) CHECK(std::isfinite(value));
  Run again(plain_model, source, options, kPlenty);
  CHECK_THROWS_WITH(again.run(), ANE_CONTAINS("5 updates in a row") && ANE_CONTAINS("--lr") && ANE_CONTAINS("step 28"));
}

TEST_CASE("a run with mostly skipped updates at its end has diverged, and stops at its last good state", "[train]") {
  const TemporaryDirectory directory;
  FakeSource source;
  TrainOptions options = small_options();
  options.steps = 40;
  options.checkpoint_dir = directory.path();
  const std::uint64_t from = GENERATE(16U, 20U);  // 6 or 5 of the last 10 updates
  for (std::uint64_t i = from; i < 40; ++i) source.poisoned.insert(i);
  const int max_compiles = GENERATE(3, kPlenty);
  Run run(plain_model, source, options, max_compiles);
  if (from == 20) {
    CHECK(run.run() == Outcome::finished);
    CHECK(run.progress().step == 40);
    return;
  }
  CHECK_THROWS_AS(run.run(), ane::DivergedError);
  CHECK(run.progress().step == 16);
  CHECK(run.progress().loss_scale == 1024);
  CHECK(run.recorder.checkpoints.empty());
  Run again(plain_model, source, options, kPlenty);
  CHECK_THROWS_WITH(again.run(),
                    ANE_CONTAINS("6 of the last 10 updates were skipped") && ANE_CONTAINS("--lr (it was 0.05)"));
}

TEST_CASE("a final validation that overflows twice means divergence, without a checkpoint", "[train]") {
  const TemporaryDirectory directory;
  FakeSource source;
  source.held_out = 3;
  TrainOptions options = small_options();
  options.steps = 12;
  options.checkpoint_dir = directory.path();
  options.checkpoint_every = 1;
  const int failures = GENERATE(1, 2);
  Run run(model_with([&](FakeModel& model) {
            model.overflow_in_evaluation = [=](int count) { return count <= 3 * failures; };
          }),
          source, options, kPlenty);
  if (failures == 1) {
    CHECK(run.run() == Outcome::finished);
    REQUIRE(run.recorder.warnings.size() == 1);
    CHECK_THAT(run.recorder.warnings[0], ANE_CONTAINS("layers.2.attn_fwd") && ANE_CONTAINS("retrying once"));
    CHECK(std::isfinite(run.recorder.validations.back().loss));
    CHECK(run.recorder.checkpoints.back().step == 12);
    return;
  }
  CHECK_THROWS_AS(run.run(), LostStateError);
  CHECK(run.recorder.checkpoints.back().step == 8);
}

TEST_CASE("an update that makes parameters non-finite ends the run at once", "[train]") {
  const TemporaryDirectory directory;
  const FakeSource source;
  TrainOptions options = small_options();
  options.steps = 12;
  options.checkpoint_dir = directory.path();
  options.checkpoint_every = 1;
  options.optimizer.beta1 = GENERATE(0.9, 0.99999998);  // the second is 1 in fp32
  Run run(plain_model, source, options, kPlenty);
  if (options.optimizer.beta1 < 0.95) {
    CHECK(run.run() == Outcome::finished);
    return;
  }
  CHECK_THROWS_AS(run.run(), LostStateError);
  CHECK(run.recorder.updates.size() == 1);
  CHECK(checkpoints_in(directory.path()).empty());
  Run again(plain_model, source, options, kPlenty);
  CHECK_THROWS_WITH(again.run(), ANE_CONTAINS("update 1 made 'w'") && ANE_CONTAINS("--lr"));
}

TEST_CASE("with --keep-checkpoints 1, a single checkpoint is kept only after the run has ended well", "[train]") {
  const TemporaryDirectory directory;
  FakeSource source;
  TrainOptions options = small_options();
  options.steps = 40;
  options.checkpoint_dir = directory.path();
  options.checkpoint_every = 1;
  options.keep_checkpoints = 1;
  const bool diverges = GENERATE(false, true);
  if (diverges) {
    for (std::uint64_t i = 12; i < 40; ++i) source.poisoned.insert(i);
  }
  Run run(plain_model, source, options, kPlenty);
  if (diverges) {
    CHECK_THROWS_AS(run.run(), ane::DivergedError);
    const auto left = checkpoints_in(directory.path());
    REQUIRE(left.size() == 2);
    CHECK(left[0].filename() == "step-00000012");
    CHECK(left[1].filename() == "step-00000008");
  } else {
    CHECK(run.run() == Outcome::finished);
    CHECK(checkpoints_in(directory.path()).size() == 1);
  }
}

TEST_CASE("held-out samples are evaluated with the parameters of the reported update", "[train]") {
  FakeSource source;
  source.held_out = 10;
  TrainOptions options = small_options();
  options.steps = 40;
  options.validate_every = 3;
  options.validation_samples = GENERATE(0, 4);
  const int max_compiles = GENERATE(3, 4, 6, kPlenty);
  CAPTURE(max_compiles, options.validation_samples);
  Run run(plain_model, source, options, max_compiles);
  REQUIRE(run.run() == Outcome::finished);

  const auto& validations = run.recorder.validations;
  REQUIRE(validations.size() == 4);
  constexpr std::array<std::int64_t, 4> kExpected = {3, 6, 9, 10};
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(validations[i].update == kExpected.at(i));
    CHECK(validations[i].samples == (options.validation_samples == 0 ? 10U : 4U));
  }
  CHECK(run.state->totals().compile_rounds == 10);
  CHECK(run.state->totals().forward_compile_rounds == 1);
  const auto samples = static_cast<std::size_t>(validations.back().samples);
  CHECK(validations.back().loss == validation_loss(source, samples, run.state->parameters()));
}

TEST_CASE("a run's best validation is known in every process, and how long ago it was", "[train]") {
  FakeSource source;
  source.held_out = 3;
  TrainOptions options = small_options();
  options.steps = 40;
  options.validate_every = 1;
  // The losses are those of the parameters, so a large learning rate makes some validations worse than the best.
  options.optimizer.lr = options.optimizer.min_lr = 1;
  const int compiles = GENERATE(5, kPlenty);
  Run run(plain_model, source, options, compiles);
  REQUIRE(run.run() == Outcome::finished);
  REQUIRE(run.recorder.validations.size() == 10);
  BestValidation best;
  std::int64_t improved = 0;
  for (const ValidationEvent& event : run.recorder.validations) {
    const bool is_best = best.update < 0 || event.loss < best.loss;
    best =
        is_best ? BestValidation{event.update, event.loss, 0} : BestValidation{best.update, best.loss, best.above + 1};
    CAPTURE(event.update);
    CHECK(event.is_best() == is_best);
    CHECK(event.best.update == best.update);
    CHECK(event.best.loss == best.loss);
    CHECK(event.best.above == best.above);
    improved += is_best ? 1 : 0;
  }
  CHECK(improved > 1);
  CHECK(improved < 10);
  CHECK(run.state->totals().best_validation.update == best.update);
}

TEST_CASE("an update says whether its validation follows", "[train]") {
  FakeSource source;
  source.held_out = GENERATE(0U, 3U);
  TrainOptions options = small_options();
  options.steps = 28;
  options.validate_every = 3;
  options.refresh_mode = GENERATE(RefreshMode::compile, RefreshMode::pipeline);
  Run run(plain_model, source, options, GENERATE(5, kPlenty));
  REQUIRE(run.run() == Outcome::finished);
  REQUIRE(run.recorder.updates.size() == 7);
  for (const UpdateEvent& update : run.recorder.updates) {
    const auto& validations = run.recorder.validations;
    const bool validated = std::any_of(validations.begin(), validations.end(),
                                       [&](const ValidationEvent& event) { return event.update == update.update; });
    CAPTURE(update.update);
    // In a pipeline, validations during the run are of earlier updates.
    if (options.refresh_mode == RefreshMode::compile || update.update == 7)
      CHECK(update.validation_follows == validated);
    else
      CHECK_FALSE(update.validation_follows);
  }
}

TEST_CASE("validation does not affect training", "[train][resume]") {
  FakeSource source;
  Run plain(plain_model, source, small_options(), kPlenty);
  REQUIRE(plain.run() == Outcome::finished);
  source.held_out = 3;
  TrainOptions options = small_options();
  options.validate_every = 2;
  Run validated(plain_model, source, options, 7);
  REQUIRE(validated.run() == Outcome::finished);
  check_same_result(plain, validated);
}

namespace {

/// Records the parameters that it is given.
class FakeSampler final : public ane::train::TextSampler {
 public:
  ane::train::TextSample sample(std::span<const float> parameters, const std::atomic<bool>& /*stop*/) override {
    seen.emplace_back(parameters.begin(), parameters.end());
    if (on_text_sample) on_text_sample();
    return {.prompt = "p", .text = "t", .tokens = 1, .overflow = overflow};
  }

  std::vector<std::vector<float>> seen;
  std::function<void()> on_text_sample;
  std::optional<std::string> overflow;
};

}  // namespace

TEST_CASE("samples follow the same updates however a run is divided and do not affect it", "[train][resume]") {
  FakeSource source;
  source.held_out = GENERATE(0U, 5U);
  TrainOptions options = small_options();
  options.steps = 40;
  const bool pipeline = GENERATE(false, true);
  if (pipeline) options.refresh_mode = RefreshMode::pipeline;
  const int max_compiles = GENERATE(5, 7, kPlenty);
  CAPTURE(source.held_out, pipeline, max_compiles);
  Run without(plain_model, source, options, kPlenty);
  REQUIRE(without.run() == Outcome::finished);

  options.sample_every = 4;
  Run with(plain_model, source, options, max_compiles);
  FakeSampler sampler;
  with.sampler = &sampler;
  REQUIRE(with.run() == Outcome::finished);
  CHECK((with.processes > 1) == (max_compiles != kPlenty));
  check_same_result(with, without);
  const auto& samples = with.recorder.samples;
  REQUIRE(samples.size() == 3);
  const std::int64_t stale = pipeline ? 1 : 0;
  CHECK(samples[0].update == 4 - stale);
  CHECK(samples[0].step == 16);
  CHECK(samples[1].update == 8 - stale);
  CHECK(samples[2].update == 10);  // at the end, of the newest parameters
  CHECK(samples[2].sample.prompt == "p");
  CHECK(samples[2].sample.text == "t");
  CHECK(sampler.seen.back() == with.parameters());
  CHECK(sampler.seen[0] != sampler.seen[1]);
  CHECK(with.state->totals().compile_rounds == without.state->totals().compile_rounds);
  CHECK(with.state->totals().forward_compile_rounds == 1);
}

TEST_CASE("a sample that is interrupted or ends early is said so", "[train]") {
  const FakeSource source;
  TrainOptions options = small_options();
  options.steps = 40;
  options.sample_every = 4;
  Run run(plain_model, source, options, kPlenty);
  FakeSampler sampler;
  run.sampler = &sampler;
  SECTION("interrupted: it is made again in the next process") {
    sampler.on_text_sample = [&] { run.stop = true; };
    CHECK(run.run() == Outcome::interrupted);
    CHECK(run.recorder.samples.empty());
    CHECK(run.progress().update == 4);
    sampler.on_text_sample = {};
    run.stop = false;
    run.adopt();
    CHECK(run.run() == Outcome::finished);
    CHECK(run.recorder.samples.size() == 3);
  }
  SECTION("overflow") {
    sampler.overflow = "layers.1.attn_fwd";
    CHECK(run.run() == Outcome::finished);
    CHECK(run.recorder.samples.size() == 3);
    REQUIRE(run.recorder.warnings.size() == 3);
    CHECK_THAT(run.recorder.warnings.front(), ANE_CONTAINS("the sample after update 4 ended early: layers.1.attn_fwd"));
  }
}

TEST_CASE("a compile that fails once is retried in a fresh process", "[train]") {
  const FakeSource source;
  int attempts = 0;
  const auto failing = model_with([&](FakeModel& model) { model.fail_compile = [&] { return ++attempts == 3; }; });
  Run run(failing, source, small_options(), kPlenty);
  REQUIRE(run.run() == Outcome::finished);
  CHECK(run.processes == 2);
  CHECK(std::count_if(run.recorder.warnings.begin(), run.recorder.warnings.end(),
                      [](const std::string& text) { return text.find("out of sorts") != std::string::npos; }) == 1);
  Run reference(plain_model, source, small_options(), kPlenty);
  REQUIRE(reference.run() == Outcome::finished);
  check_same_result(reference, run);
}

TEST_CASE("a compile that fails in two processes in a row is an error", "[train]") {
  const FakeSource source;
  const auto failing = model_with([&](FakeModel& model) { model.fail_compile = [] { return true; }; });
  Run run(failing, source, small_options(), kPlenty);
  CHECK_THROWS_AS(run.run(), ane::device::CompileError);
  CHECK(run.processes == 2);

  // Failures with successes in between are not in a row.
  int attempts = 0;
  const auto flaky = model_with([&](FakeModel& model) { model.fail_compile = [&] { return ++attempts % 2 == 0; }; });
  Run lucky(flaky, source, small_options(), kPlenty);
  CHECK(lucky.run() == Outcome::finished);
  CHECK(lucky.processes > 3);
}

TEST_CASE("checkpoints are written when they are due and at the end, once each", "[train]") {
  const TemporaryDirectory directory;
  const FakeSource source;
  TrainOptions options = small_options();
  options.steps = 30;
  options.checkpoint_dir = directory.path();
  const auto [every, steps] =
      GENERATE(table<std::int64_t, std::vector<std::int64_t>>({{0, {30}}, {3, {12, 24, 30}}, {4, {16, 30}}}));
  options.checkpoint_every = every;
  Run run(plain_model, source, options, 5);
  REQUIRE(run.run() == Outcome::finished);
  std::vector<std::int64_t> written;
  for (const auto& event : run.recorder.checkpoints) written.push_back(event.step);
  CHECK(written == steps);
}

TEST_CASE("an update is followed by a checkpoint after the set minutes", "[train]") {
  const TemporaryDirectory directory;
  const FakeSource source;
  TrainOptions options = small_options();
  options.steps = 30;
  options.checkpoint_dir = directory.path();
  options.checkpoint_minutes = 5;
  Run run(plain_model, source, options, 5);
  run.state->totals().started_ns = monotonic_ns() - std::chrono::nanoseconds(std::chrono::minutes(6)).count();
  REQUIRE(run.run() == Outcome::finished);
  REQUIRE(run.recorder.checkpoints.size() == 2);
  CHECK(run.recorder.checkpoints[0].step == 4);
  CHECK(run.recorder.checkpoints[1].step == 30);
}

TEST_CASE("the checkpoint of the lowest validation loss is kept besides the newest", "[train]") {
  const TemporaryDirectory directory;
  FakeSource source;
  source.held_out = 5;
  TrainOptions options = small_options();
  options.optimizer = {.lr = 3, .warmup = 19, .beta1 = 0, .weight_decay = 0};  // too fast in the end: the loss rises
  options.validate_every = 2;
  options.checkpoint_dir = directory.path();
  options.keep_checkpoints = 2;
  options.keep_best = true;
  options.checkpoint_every = GENERATE(0, 1, 2);
  const int max_compiles = GENERATE(5, kPlenty);
  CAPTURE(options.checkpoint_every, max_compiles);
  Run run(plain_model, source, options, max_compiles);
  REQUIRE(run.run() == Outcome::finished);

  const auto& validations = run.recorder.validations;
  const auto best = std::ranges::min_element(validations, {}, &ValidationEvent::loss);
  const std::int64_t step = best->update * options.accum_steps;
  REQUIRE(step < options.steps - 4 * options.accum_steps);  // it is not among the newest
  CHECK(run.progress().best_validation_step == step);
  CHECK(run.progress().best_validation_loss == best->loss);
  const std::vector<fs::path> kept = checkpoints_in(directory.path());
  // Without other checkpoints, the best one is also one of the newest two.
  CHECK(kept.size() == (options.checkpoint_every == 0 ? 2 : 3));
  CHECK(kept.front().filename() == "step-00000075");
  CHECK(kept.back().filename() == fmt::format("step-{:08}", step));
}

TEST_CASE("failed checkpoints cause one warning, and an error only at the end", "[train]") {
  const TemporaryDirectory directory;
  const FakeSource source;
  const fs::path folder = directory.path() / "c";
  fs::create_directory(folder);
  TrainOptions options = small_options();
  options.steps = 40;
  options.checkpoint_dir = folder;
  options.checkpoint_every = 3;  // after steps 12, 24, 36 and 40: no write is in progress in steps 10 and 30
  const int mended_at = GENERATE(30, 1000);
  CAPTURE(mended_at);
  const int max_compiles = GENERATE(5, kPlenty);
  int steps = 0;
  const auto disturbing = model_with([&](FakeModel& model) {
    model.on_step = [&](int) {
      ++steps;
      if (steps == 10) {
        fs::rename(folder, directory.path() / "away");
        std::ofstream(folder) << "in the way";
      }
      if (steps == mended_at) {
        fs::remove(folder);
        fs::rename(directory.path() / "away", folder);
      }
    };
  });
  Run run(disturbing, source, options, max_compiles);
  if (mended_at < options.steps) {
    CHECK(run.run() == Outcome::finished);
    CHECK(run.recorder.checkpoints.back().step == 40);
  } else {
    CHECK_THROWS_AS(run.run(), ane::FileError);
    CHECK(run.progress().step == 40);  // all progress is preserved
    CHECK_THROWS_WITH(run.run(), ANE_CONTAINS("the run's last checkpoint is missing"));
  }
  REQUIRE(run.recorder.checkpoints.size() == (mended_at < options.steps ? 2 : 0));
  CHECK(std::count_if(run.recorder.warnings.begin(), run.recorder.warnings.end(), [](const std::string& text) {
          return text.find(" could not be written: ") != std::string::npos;
        }) == 1);
}

TEST_CASE("the parts of a run add up to its wall time", "[train]") {
  FakeSource source;
  source.held_out = 5;
  TrainOptions options = small_options();
  options.validate_every = 2;
  Run run(plain_model, source, options, 5);
  REQUIRE(run.run() == Outcome::finished);
  const RunTotals& totals = run.state->totals();
  const std::int64_t parts = totals.startup_ns + totals.compile_ns + totals.train_ns + totals.validation_ns +
                             totals.checkpoint_ns + totals.restart_ns;
  const std::int64_t wall = monotonic_ns() - totals.started_ns;
  CHECK(totals.train_ns > 0);
  CHECK(totals.startup_ns > 0);
  CHECK(totals.restart_ns > 0);
  CHECK(totals.compile_ns > 0);
  CHECK(totals.validation_ns > 0);
  CHECK(parts <= totals.booked_until_ns - totals.started_ns);
  CHECK(totals.booked_until_ns <= totals.started_ns + wall);
  CHECK(totals.ane_ns > 0);
  CHECK(totals.ane_ns <= 75 * 1000);  // what the first steps after a restart cost beyond others is not training
  CHECK(totals.peak_memory_bytes > 1 << 20);
}

TEST_CASE("the first steps of a restarted process are slow at the expense of the restart, not of training", "[train]") {
  using std::chrono::milliseconds;
  static constexpr auto kCold = milliseconds(40);
  const FakeSource source;
  const TrainOptions options = small_options();
  const auto set_up = [](FakeModel& made) {
    made.on_group = [is_first = true](std::size_t) mutable {
      std::this_thread::sleep_for(std::exchange(is_first, false) ? kCold : milliseconds(1));
    };
  };
  Run run(model_with(set_up), source, options, 7);
  REQUIRE(run.run() == Outcome::finished);
  REQUIRE(run.processes > 2);
  const std::int64_t restarts = run.processes - 1;
  const RunTotals& totals = run.state->totals();
  const Duration training = kCold + milliseconds(options.steps - 1);  // the first process's cold steps are training
  CHECK(totals.restart_ns >= Duration(restarts * milliseconds(30)).count());
  CHECK(totals.train_ns >= training.count());
  CHECK(totals.other_groups == options.steps - run.processes);
  CHECK(totals.steps == options.steps);
}

TEST_CASE("the events of a run are ordered and complete", "[train]") {
  const FakeSource source;
  TrainOptions options = small_options();
  options.steps = 10;
  Run run(plain_model, source, options, kPlenty);
  REQUIRE(run.run() == Outcome::finished);
  const Recorder& told = run.recorder;
  REQUIRE(told.steps.size() == 10);
  for (std::size_t i = 0; i < 10; ++i) CHECK(told.steps[i].step == static_cast<std::int64_t>(i) + 1);
  REQUIRE(told.updates.size() == 3);
  for (std::size_t u = 0; u < 3; ++u) {
    CHECK(told.updates[u].update == static_cast<std::int64_t>(u) + 1);
    CHECK(told.updates[u].compiles == 3 + 2 * static_cast<int>(u));
    double loss = 0;
    const std::size_t count = u < 2 ? 4 : 2;
    for (std::size_t i = 0; i < count; ++i) loss += told.steps[4 * u + i].loss;
    CHECK(told.updates[u].mean_loss == loss / static_cast<double>(count));
  }
  CHECK(told.compiles.size() == 3);
  CHECK(told.compiles[0].kernels == 3);
  CHECK(told.compiles[1].kernels == 2);
}

TEST_CASE("a run of zero steps, or a finished one, ends at once", "[train]") {
  FakeSource source;
  TrainOptions options = small_options();
  options.steps = 0;
  Run nothing(plain_model, source, options, kPlenty);
  CHECK(nothing.run() == Outcome::finished);
  CHECK(nothing.recorder.compiles.empty());

  options.steps = 8;
  Run run(plain_model, source, options, kPlenty);
  REQUIRE(run.run() == Outcome::finished);
  const auto parameters = run.parameters();
  CHECK(run.run() == Outcome::finished);
  CHECK(same_bits(run.parameters(), parameters));
}
