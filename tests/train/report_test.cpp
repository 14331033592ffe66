#include "ane/train/report.h"

#include "support/catch.h"

using namespace ane::train;

namespace {

RunReport some_report() {
  RunReport report;
  report.totals.startup_ns = 50'000'000;
  report.totals.compile_ns = 1'250'000'000;
  report.totals.train_ns = 8'000'000'000;
  report.totals.validation_ns = 300'000'000;
  report.totals.checkpoint_ns = 200'000'000;
  report.totals.restart_ns = 100'000'000;
  report.totals.steps = 100;
  report.totals.compiles = 603;
  report.totals.compile_rounds = 10;
  report.totals.forward_compile_rounds = 1;
  report.totals.restarts = 4;
  report.totals.surfaces_created = 40;
  report.totals.surfaces_reused = 5000;
  report.totals.surfaces_released = 3;
  report.totals.peak_memory_bytes = 512'500'000;
  report.totals.ane_ns = 2'000'000'000;
  report.wall_ns = 10'000'000'000;
  report.flops_per_step = {.forward = 40e9, .backward_dx = 40e9, .backward_dw = 60e9, .sdpa_backward = 10e9};
  report.device = "host: 2 threads";
  report.surfaces.live = 7;
  report.surfaces.live_bytes = 1'500'000;
  return report;
}

}  // namespace

TEST_CASE("the report of a run on the host, line by line", "[train][golden]") {
  CHECK(efficiency_report(some_report()) ==
        "=== Efficiency Report ===\n"
        "Device:          host: 2 threads\n"
        "Total steps:     100\n"
        "Wall time:       10000 ms (10.0 s)\n"
        "Compile time:    1250 ms (12.5%)\n"
        "Train time:      8000 ms (80.0%)\n"
        "Validation:      300 ms (3.0%)\n"
        "Checkpoints:     200 ms (2.0%)\n"
        "Restarts:        100 ms (1.0%), 4 of 25.0 ms\n"
        "Startup:         50 ms (0.5%)\n"
        "Other:           100 ms (1.0%)\n"
        "Avg train:       80.0 ms/step\n"
        "Host TFLOPS:     1.875 sustained\n"
        "Step parts:      ane=20.0 io=0.0 cls=0.0 elem=0.0 rms=0.0 cblas_wait=0.0 ms/step\n"
        "Compiles:        603 (10 training rounds, 1 forward round)\n"
        "Surfaces:        40 created, 5000 reused, 3 released; 7 live (1.5 MB), 0 pooled (0.0 MB)\n"
        "Peak memory:     512.5 MB\n");
}

TEST_CASE("the report counts the steps that were saved", "[train]") {
  RunReport report = some_report();
  report.totals.dropped_steps = 3;
  CHECK_THAT(efficiency_report(report),
             ANE_CONTAINS("\nTotal steps:     97, and 3 of an update that was not completed\n") &&
                 ANE_CONTAINS("\nAvg train:       80.0 ms/step\n"));
}

TEST_CASE("weight loads have a line if there were any", "[train]") {
  RunReport report = some_report();
  report.totals.weights_ns = 100'000'000;
  CHECK_THAT(efficiency_report(report), ANE_CONTAINS("\nWeight loads:    100 ms (1.0%)\nTrain time:"));
  CHECK_THAT(efficiency_report(report), ANE_CONTAINS("\nOther:           0 ms (0.0%)\n"));
}

TEST_CASE("the ANE's lines appear only if kernels ran on it", "[train]") {
  RunReport report = some_report();
  report.peak_tflops = 15.8;
  report.totals.skipped_updates = 2;
  const std::string text = efficiency_report(report);
  CHECK_THAT(text, ANE_CONTAINS("ANE TFLOPS:      1.12 sustained\n") &&
                       ANE_CONTAINS("Total TFLOPS:    1.88 (ANE+CPU)\n") &&
                       ANE_CONTAINS("ANE utilization: 7.1% of 15.8 TFLOPS\n") && ANE_CONTAINS("Skipped updates: 2\n") &&
                       !ANE_CONTAINS("Host TFLOPS"));
}

TEST_CASE("the report shows the weight mode and the hidden compile time", "[train]") {
  RunReport report = some_report();
  report.weights = "baked";
  report.totals.hidden_compile_ns = 2'500'000'000;
  CHECK_THAT(efficiency_report(report),
             ANE_CONTAINS("Weights:         baked\n") &&
                 ANE_CONTAINS("Compile time:    1250 ms (12.5%), and 2500 ms during the steps\n") &&
                 ANE_CONTAINS("Compiles:        603 (10 training rounds, 1 forward round)\n"));
}

TEST_CASE("compiles of workers are reported apart from those of the run's processes", "[train][workers]") {
  RunReport report = some_report();
  report.totals.worker_compiles = 600;
  report.totals.compiles = 3;
  CHECK_THAT(efficiency_report(report), ANE_CONTAINS("Compiles:        600 by workers, 3 by the run's processes (10 "
                                                     "training rounds, 1 forward round)\n"));
  report.totals.compiles = 0;
  CHECK_THAT(efficiency_report(report), ANE_CONTAINS("Compiles:        600 by workers (10 training rounds, "));
  report.wall_ns = 2'500'000'000;
  CHECK_THAT(compile_hint(report, 6), ANE_CONTAINS("on 600 compiles"));
}

TEST_CASE("a run that spent more than a third compiling ends with a hint about dynamic weights", "[train]") {
  RunReport report = some_report();
  report.wall_ns = 9'000'000'000;
  report.totals.compiles = 60;
  report.totals.compile_ns = 3'000'000'000;  // a third
  CHECK(compile_hint(report, 6).empty());
  report.totals.compile_ns = 6'000'000'000;  // 100 ms per kernel
  CHECK(compile_hint(report, 6) ==
        "Hint: 67% of the time was spent on 60 compiles; --weights dynamic needs 6, once, and would have saved about "
        "5.4 s of 9.0 s if its steps take as long");
  CHECK(compile_hint(report, 60).empty());  // nothing is saved
  CHECK(compile_hint({}, 6).empty());
}

TEST_CASE("the report of an empty run does not divide by zero", "[train]") {
  const std::string text = efficiency_report({});
  CHECK_THAT(text, ANE_CONTAINS("Total steps:     0\n") && ANE_CONTAINS("Avg train:       0.0 ms/step\n") &&
                       !ANE_CONTAINS("nan") && !ANE_CONTAINS("inf"));
}
