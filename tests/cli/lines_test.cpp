#include "ane/cli/lines.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "ane/cli/work_bar.h"
#include "ane/train/log_state.h"

#include "support/catch.h"

using namespace ane;
using namespace std::chrono_literals;

TEST_CASE("lines read as the field's dashboards expect them", "[cli][lines]") {
  train::StepEvent step;
  step.step = 10;
  step.loss = 2.3456;
  step.lr = 3e-4;
  step.time = 98500us;
  CHECK(cli::step_line(step) == "step 10   loss=2.3456 lr=3.0e-04 98.5ms/step");

  train::UpdateEvent update;
  update.steps_in_batch = 10;
  update.compile = 412ms;
  update.train = 985ms;
  update.compiles = 61;
  update.parts.ane = 159ms;
  update.parts.io = 38ms;
  update.parts.classifier = 45ms;
  update.parts.elementwise = 140ms;
  update.parts.rms_norm = 1ms;
  CHECK(cli::batch_line(update) == "[batch 10: compile=412ms train=985.0ms (98.5ms/step) compiles=61]");
  CHECK(cli::breakdown_line(update) == "ane=15.9 io=3.8 cls=4.5 elem=14.0 rms=0.1 cblas_wait=0.0 ms/step");
  CHECK(cli::compiled_line({.kernels = 61, .time = 412ms}) == "Compiled 61 kernels in 412ms");
  using Kind = train::CompileEvent::Kind;
  CHECK(cli::compiled_line({.kernels = 48, .time = 412ms, .kind = Kind::ahead, .waited = 7ms}) ==
        "Compiled 48 kernels in 412ms, waited 7ms");
  CHECK(cli::restart_line({.step = 10, .compiles = 61, .loss = 2.3456}) ==
        "[exec() restart step 10, 61 compiles, loss=2.3456]");
  train::ResumeEvent resume;
  resume.step = 10;
  resume.loss = 2.3456;
  CHECK(cli::resumed_line(resume) == "[RESUMED step 10, loss=2.3456]");
}

TEST_CASE("no line of a sample can be mistaken for another line or disturb the terminal", "[cli][lines]") {
  const train::TextSampleEvent event{.update = 20,
                                     .step = 40,
                                     .sample = {.prompt = "step 1\nAnd", .text = " he\nsaid\x1B[2J\n", .tokens = 6},
                                     .time = 94ms};
  CHECK(cli::text_sample_lines(event) ==
        "[sample update 20: 6 tokens in 94ms]\n  | step 1\n  | And he\n  | said\xEF\xBF\xBD[2J\n  | ");
}

TEST_CASE("the parts of a step's FLOPs add up to their total", "[cli][lines]") {
  const model::Flops flops{
      .forward = 2e9, .backward_dx = 3e9, .backward_dw = 4e9, .sdpa_backward = 5e9, .classifier = 6e9};
  CHECK(
      cli::flops_lines(flops) ==
      std::vector<std::string>{"FLOPs/step: fwd=2000M bwd_dx=3000M bwd_dW=4000M sdpa_bwd=5000M total=20000M cls=6000M",
                               "ANE FLOPs/step: 10000M"});
}

TEST_CASE("a NaN has no sign", "[cli][lines]") {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  CHECK_THAT(cli::step_line({.step = 1, .loss = -kNan}), ANE_CONTAINS("loss=nan "));
  CHECK_THAT(cli::validation_line({.update = 1, .loss = -kNan}), ANE_CONTAINS("loss=nan "));
  CHECK_THAT(cli::restart_line({.step = 1, .loss = -kNan}), ANE_CONTAINS("loss=nan]"));
  CHECK_THAT(cli::resumed_line({.step = 1, .loss = -kNan}), ANE_CONTAINS("loss=nan]"));
  CHECK_THAT(cli::progress_bar({.step = 1, .steps = 2, .loss = -kNan}, 80), ANE_CONTAINS(" loss nan"));
}

TEST_CASE("the progress bar shows speed and remaining time, and omits what its terminal has no room for",
          "[cli][lines]") {
  cli::BarState state{.step = 25, .steps = 100, .loss = 2.5, .ms_per_step = 1000, .tokens_per_step = 1250};
  CHECK(cli::progress_bar(state, 80) == "[========                      ] 25/100 loss 2.5000 1.2k tok/s 1:15 left");
  state.recent_losses = {4, 3, 2};
  const std::string blocks = "\u2588\u2585\u2581";
  CHECK(cli::progress_bar(state, 80) ==
        "[========                      ] 25/100 loss 2.5000 " + blocks + " 1.2k tok/s 1:15 left");
  CHECK(cli::progress_bar(state, 52) == "[=    ] 25/100 loss 2.5000 " + blocks + " 1.2k tok/s 1:15 left");
  CHECK(cli::progress_bar(state, 44) == "25/100 loss 2.5000 " + blocks + " 1.2k tok/s 1:15 left");
  CHECK(cli::progress_bar(state, 43) == "25/100 loss 2.5000 1.2k tok/s 1:15 left");
  CHECK(cli::progress_bar(state, 39) == "[==     ] 25/100 loss 2.5000 1:15 left");
  CHECK(cli::progress_bar(state, 29) == "25/100 loss 2.5000 1:15 left");
  CHECK(cli::progress_bar(state, 20) == "25/100 loss 2.5000");
  CHECK(cli::progress_bar(state, 12) == "25/100");
  CHECK(cli::progress_bar(state, 6).empty());
  CHECK(cli::progress_bar({.step = 1, .steps = 40000, .loss = 0, .ms_per_step = 100}, 80).ends_with("1:06:40 left"));
  CHECK(cli::progress_bar({.step = 1, .steps = 1}, 80).ends_with("0:00 left"));
  CHECK(cli::progress_bar({.step = 7, .ms_per_step = 100}, 80).ends_with("] 7 loss 0.0000"));
}

TEST_CASE("a sparkline shows where each loss lies between the lowest and the highest", "[cli][lines]") {
  CHECK(cli::sparkline(std::vector<double>{}).empty());
  CHECK(cli::sparkline(std::vector<double>{3}).empty());
  CHECK(cli::sparkline(std::vector<double>{7, 6, 5, 4, 3, 2, 1, 0}) ==
        "\u2588\u2587\u2586\u2585\u2584\u2583\u2582\u2581");
  CHECK(cli::sparkline(std::vector<double>{2, 2}) == "\u2581\u2581");
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  CHECK(cli::sparkline(std::vector<double>{1, kNan, 2}) == "\u2581 \u2588");
  CHECK(cli::sparkline(std::vector<double>{kNan, kNan}) == "  ");
}

TEST_CASE("the newest losses are kept in their order, smoothed", "[cli][lines]") {
  train::RecentLosses losses;
  CHECK(losses.in_order().empty());
  for (const double loss : {10.0, 5.0, std::numeric_limits<double>::quiet_NaN(), 4.0}) losses.add(loss);
  std::vector<double> kept = losses.in_order();
  REQUIRE(kept.size() == 4);
  CHECK(kept[0] == 10);
  CHECK(kept[1] == 9);  // a fifth of the way to 5
  CHECK(std::isnan(kept[2]));
  CHECK(kept[3] == 8);
  for (int i = 0; i < 20; ++i) losses.add(i < 15 ? 8 : 3);
  kept = losses.in_order();
  REQUIRE(kept.size() == train::RecentLosses::kMost);
  CHECK(kept[10] == 8);
  CHECK(kept[11] == 7);
  CHECK(kept[15] < kept[11]);
}

TEST_CASE("the bar of work on bytes fits its terminal and shows the remaining time", "[cli][lines]") {
  const std::string wide = cli::work_bar("Tokenizing", 6'000'000, 24'000'000, 5, 80);
  CHECK(wide.starts_with("[========                      ]"));
  CHECK(wide.ends_with("] Tokenizing 6.0 MB of 24.0 MB 0:15 left"));
  for (const int columns : {0, 1, 10, 40, 60, 200})
    CHECK(static_cast<int>(cli::work_bar("Tokenizing", 6, 24, 5, columns).size()) < std::max(columns, 1));
  CHECK(cli::work_bar("Tokenizing", 0, 0, 0, 80).ends_with("0 B of 0 B 0:00 left"));
}
