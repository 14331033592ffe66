#include "ane/app/run_prediction.h"

#include <string>
#include <vector>

#include "support/catch.h"

using namespace ane;
using app::CompilePlan;
using app::PartTimes;
using app::predict_run;
using app::RunPrediction;

namespace {

/// Powers of two, so that sums are exact and show what they consist of.
PartTimes powers_of_two() {
  return {.startup_s = 512,
          .first_round_s = 64,
          .later_round_s = 16,
          .slots = 1,
          .step_s = 4,
          .warm_up_s = 1024,
          .optimizer_s = 2,
          .evaluation_s = 1,
          .checkpoint_s = 4096};
}

/// Three updates: of 4, 4 and 2 sequences.
cli::Settings three_updates() {
  cli::Settings settings;
  settings.steps = 10;
  settings.accum_steps = 4;
  return settings;
}

CompilePlan compiles_of_three_updates() {
  return {.first_round = 8, .later_round = 4, .smallest_budget = 8, .forward = 2, .updates = 3, .restarts = 0};
}

}  // namespace

TEST_CASE("a run's time is the sum of its parts", "[app][plan]") {
  const RunPrediction run = predict_run(powers_of_two(), compiles_of_three_updates(), three_updates(), 7, false);
  CHECK(run.update_s == 4 * 4 + 2 + 16);
  CHECK(run.training_s == 10 * 4 + 3 * 2);
  CHECK(run.compiles_s == 64 + 2 * 16 + 8);
  CHECK(run.restarts_s == 512 + 1024);
  CHECK(run.validations == 1);
  CHECK(run.validations_s == 7);
  CHECK(run.checkpoint_s == 4096);
  CHECK(run.total_s() == 46 + 104 + 1536 + 7 + 4096);
}

TEST_CASE("a restart costs a process and the compiles that it has lost", "[app][plan]") {
  CompilePlan compiles = compiles_of_three_updates();
  compiles.restarts = 2;
  const RunPrediction run = predict_run(powers_of_two(), compiles, three_updates(), 0, false);
  CHECK(run.restarts_s == 3 * (512 + 1024));
  CHECK(run.compiles_s == 3 * 64);
}

TEST_CASE("validations are predicted with their sequences", "[app][plan]") {
  cli::Settings settings = three_updates();
  settings.val_every = 1;
  settings.val_samples = 5;
  const RunPrediction run = predict_run(powers_of_two(), compiles_of_three_updates(), settings, 7, false);
  CHECK(run.validations == 3);
  CHECK(run.validations_s == 3 * 5);
  CHECK(predict_run(powers_of_two(), compiles_of_three_updates(), settings, 0, false).validations == 0);
}

TEST_CASE("sequences that run at once take the time of one group", "[app][plan]") {
  PartTimes parts = powers_of_two();
  parts.slots = 3;
  const RunPrediction run = predict_run(parts, compiles_of_three_updates(), three_updates(), 7, false);
  CHECK(run.update_s == 2 * 4 + 2 + 16);
  CHECK(run.training_s == (2 + 2 + 1) * 4 + 3 * 2);
  CHECK(run.validations_s == 3);
}

TEST_CASE("a pipeline hides its compiles only on a device of its own", "[app][plan]") {
  cli::Settings settings = three_updates();
  settings.pipeline = true;
  PartTimes parts = powers_of_two();
  parts.later_round_s = 20;
  CHECK(predict_run(parts, compiles_of_three_updates(), settings, 0, false).update_s == 16 + 2 + 20);
  CHECK(predict_run(parts, compiles_of_three_updates(), settings, 0, true).update_s == 16 + 2 + 4);
  parts.later_round_s = 8;
  CHECK(predict_run(parts, compiles_of_three_updates(), settings, 0, true).update_s == 16 + 2);
}

TEST_CASE("a run with only a time limit is told how many updates fit", "[app][plan]") {
  cli::Settings settings;
  settings.steps = 0;
  settings.accum_steps = 4;
  settings.max_minutes = 17;
  const RunPrediction run = predict_run(powers_of_two(), {}, settings, 7, false);
  CHECK(run.total_s() == 0);
  CHECK_THAT(app::prediction_lines(powers_of_two(), run, settings).back(),
             ANE_CONTAINS("about 30 updates in 17 minutes"));
}
