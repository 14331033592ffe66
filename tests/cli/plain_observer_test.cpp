#include "ane/cli/plain_observer.h"

#include <cstdio>
#include <limits>
#include <memory>
#include <regex>
#include <string>
#include <vector>

#include "ane/cli/plain_lines.h"

#include "support/catch.h"
#include "train/fake_model.h"

using namespace ane;
using namespace std::chrono_literals;

namespace {

/// 400 bytes of text; nothing is read.
class TextSource final : public data::Source {
 public:
  std::string description() const override { return "a.txt: 400 bytes"; }
  std::string identity() const override { return "text"; }
  void training_sample(std::uint64_t /*step*/, data::Sample& /*sample*/) const override {}
  std::optional<std::size_t> training_tokens() const override { return 40; }
  std::optional<double> bytes_per_token() const override { return 1; }
  std::optional<double> unigram_entropy() const override { return 3.3145; }
};

/// Plain output into a file, with a clock that the test sets. Each process has its own observer.
class Output {
 public:
  explicit Output(const data::Source& source, cli::PlainObserver::Plan plan = {.steps = 20, .accum_steps = 2})
      : source_(&source), plan_(plan) {
    settings_.steps = plan.steps;
    settings_.accum_steps = plan.accum_steps;
    start_process();
  }

  void start_process() {
    lines = std::make_unique<cli::PlainObserver>(terminal_, log, plan_, [this] { return now_ns; });
    lines->begin({.model = model_,
                  .source = *source_,
                  .settings = settings_,
                  .device = "host",
                  .weights_line = {},
                  .is_first_process = !std::exchange(began_, true)});
  }

  /// An update of two steps that took a second.
  void update(std::int64_t number, double loss, bool validation_follows = false) {
    now_ns += 1'000'000'000;
    train::UpdateEvent event{
        .update = number, .step = 2 * number, .steps_in_batch = 2, .mean_loss = loss, .loss_sequences = 2};
    event.lr = 9.1e-4;
    event.grad_norm = 0.42;
    event.validation_follows = validation_follows;
    lines->on_update(event);
  }

  void validation(std::int64_t update, double loss, const train::BestValidation& best) {
    now_ns += 5'000'000'000;
    lines->on_validation({.update = update, .loss = loss, .samples = 1, .time = 5s, .best = best});
  }

  /// What was printed since the last call.
  std::string printed() {
    std::string text;
    std::fseek(file_.get(), read_, SEEK_SET);
    for (int c = 0; (c = std::fgetc(file_.get())) != EOF;) text += static_cast<char>(c);
    read_ = std::ftell(file_.get());
    return text;
  }

  std::int64_t now_ns = 1'000'000'000;
  train::LogState log;
  std::unique_ptr<cli::PlainObserver> lines;

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::unique_ptr<std::FILE, Close> file_{std::tmpfile()};
  long read_ = 0;
  FakeModel model_;
  const data::Source* source_;
  cli::Settings settings_;
  cli::PlainObserver::Plan plan_;
  bool began_ = false;
  cli::Terminal terminal_{cli::Terminal::LostOutput::fails, file_.get()};
};

}  // namespace

TEST_CASE("plain output begins with a short header, and for text with a baseline", "[cli][plain]") {
  const TextSource text;
  Output output(text);
  CHECK(output.printed() ==
        "Model: dim=20 hidden=1 seq=1, 0.00M parameters\n"
        "Device: host\n"
        "Data: a.txt: 400 bytes\n"
        "Baseline: a model that knows only the frequencies of bytes has a loss of 3.31 (4.78 bits/byte)\n"
        "Training: 10 updates of 2 sequences (2 tokens each); AdamW, learning rate 1.0e-03\n");
  output.start_process();
  CHECK(output.printed().empty());
  const FakeSource numbers;
  CHECK_THAT(Output(numbers).printed(), !ANE_CONTAINS("Baseline"));
}

TEST_CASE("plain output describes a run that is shorter than an update", "[cli][plain]") {
  const TextSource text;
  CHECK_THAT(Output(text, {.steps = 3, .accum_steps = 10}).printed(),
             ANE_CONTAINS("Training: 1 update of 3 sequences (3 tokens each); "));
  CHECK_THAT(Output(text, {.steps = 1, .accum_steps = 10}).printed(),
             ANE_CONTAINS("Training: 1 update of 1 sequence (1 tokens each); "));
}

TEST_CASE("a plain line has the mean loss of its interval, the epoch, the speed and the remaining time",
          "[cli][plain]") {
  const TextSource text;
  Output output(text, {.steps = 20, .accum_steps = 2, .log_every = 5});
  static_cast<void>(output.printed());
  output.update(1, 4);
  CHECK(output.printed() == "update 1/10 | epoch 0.05 | train 4.000 | lr 9.1e-04 | grad 0.42 | 2 tok/s | 0:09 left\n");
  output.update(2, 3);
  output.update(3, 2.5);
  CHECK(output.printed().empty());
  output.now_ns += 1'000'000'000;
  output.update(4, 1.25);
  CHECK(output.printed() == "update 4/10 | epoch 0.20 | train 2.250 | lr 9.1e-04 | grad 0.42 | 2 tok/s | 0:08 left\n");
  output.update(10, 1.5);
  CHECK_THAT(output.printed(), ANE_CONTAINS("update 10/10 | epoch 0.50 | train 1.500 |") && ANE_CONTAINS("0:00 left"));
}

TEST_CASE("a validation is printed with its update, and its time is not training time", "[cli][plain]") {
  const TextSource text;
  Output output(text, {.steps = 20, .accum_steps = 2, .log_every = 100});
  output.update(1, 4);
  static_cast<void>(output.printed());
  output.update(2, 3, true);
  CHECK(output.printed().empty());  // the line waits
  const bool restarts = GENERATE(false, true);
  if (restarts) output.start_process();
  output.validation(2, 1.952, {.update = 2, .loss = 1.952});
  CHECK(output.printed() ==
        "update 2/10 | epoch 0.10 | train 3.000 | val 1.952 (best) 2.82 bits/byte | lr 9.1e-04 | grad 0.42 | 2 tok/s | "
        "0:08 left\n");
  output.update(3, 2, true);
  output.validation(3, 2, {.update = 2, .loss = 1.952, .above = 1});
  CHECK_THAT(output.printed(), ANE_CONTAINS("| val 2.000 2.89 bits/byte | lr") && ANE_CONTAINS("| 2 tok/s |"));
  output.validation(2, 3, {.update = 1, .loss = 1, .above = 2});  // of an earlier update, as in a pipeline
  CHECK(output.printed() == "update 2/10 | val 3.000 4.33 bits/byte\n");
}

TEST_CASE("a sample follows the line of its update, and its time is not training time", "[cli][plain]") {
  const FakeSource numbers;
  Output output(numbers, {.steps = 20, .accum_steps = 2});
  static_cast<void>(output.printed());
  output.update(1, 4, true);
  const train::TextSampleEvent sample{
      .update = 1, .step = 2, .sample = {.prompt = "a", .text = "b", .tokens = 1}, .time = 3s};
  output.lines->on_text_sample(sample);
  CHECK_THAT(output.printed(), ANE_CONTAINS("| 0:09 left\n[sample update 1: 1 tokens in 3000ms]\n  | ab\n"));
  output.now_ns += 3'000'000'000;
  output.update(2, 3);
  CHECK_THAT(output.printed(), ANE_CONTAINS("| 2 tok/s |"));
}

TEST_CASE("bits per byte and epochs are left out where they are not known", "[cli][plain]") {
  const FakeSource numbers;
  Output output(numbers);
  static_cast<void>(output.printed());
  output.update(1, 4, true);
  output.validation(1, 2, {.update = 1, .loss = 2});
  CHECK(output.printed() ==
        "update 1/10 | train 4.000 | val 2.000 (best) | lr 9.1e-04 | grad 0.42 | 2 tok/s | 0:09 left\n");
}

TEST_CASE("a line whose validation does not come is printed before anything else", "[cli][plain]") {
  const FakeSource numbers;
  Output output(numbers);
  static_cast<void>(output.printed());
  output.update(1, 4, true);
  output.lines->on_checkpoint({.step = 2, .path = "c/step-2"});
  CHECK_THAT(output.printed(), ANE_CONTAINS("| 0:09 left\ncheckpoint of step 2: c/step-2\n"));
  output.lines->on_checkpoint({.step = 2, .path = "c/step-2"});
  CHECK(output.printed() == "checkpoint of step 2: c/step-2\n");
}

TEST_CASE("an interval continues in the next process", "[cli][plain]") {
  const FakeSource numbers;
  Output output(numbers, {.steps = 20, .accum_steps = 2, .log_every = 8});
  output.update(1, 9);
  static_cast<void>(output.printed());
  for (int update = 2; update <= 5; ++update) {
    CHECK(output.printed().empty());
    output.start_process();
    output.update(update, update);
  }
  CHECK_THAT(output.printed(), ANE_CONTAINS("update 5/10 | train 3.500 |") && ANE_CONTAINS("| 2 tok/s | 0:05 left"));
}

TEST_CASE("restarts are shown only if asked for, resumed checkpoints always", "[cli][plain]") {
  const FakeSource numbers;
  const bool verbose = GENERATE(false, true);
  Output output(numbers, {.steps = 20, .accum_steps = 2, .verbose = verbose});
  static_cast<void>(output.printed());
  output.lines->on_restart({.step = 8, .compiles = 61, .loss = 1});
  output.lines->on_resume({.step = 8, .loss = 1, .from_checkpoint = false, .time = 12ms});
  CHECK(output.printed() == (verbose ? "restarted after step 8 in 12.0 ms\n" : ""));
  output.lines->on_resume({.step = 8, .loss = 1, .from_checkpoint = true});
  CHECK(output.printed() == "resumed from the checkpoint of step 8\n");
}

TEST_CASE("a validation loss that has risen for long is said once", "[cli][plain]") {
  const FakeSource numbers;
  Output output(numbers);
  static_cast<void>(output.printed());
  std::string text;
  for (int above = 0; above < 12; ++above) {
    if (above == 6) output.start_process();
    output.validation(3 + above, 2, {.update = 3, .loss = 1.5, .above = above});
    const std::string now = output.printed();
    CHECK((now.find("The last") != std::string::npos) == (above == 5));
    text += now;
  }
  CHECK_THAT(text, ANE_CONTAINS("The last 5 validations were worse than the best (1.500 at update 3)"));
}

TEST_CASE("a loss that is not a number has no sign and does not spoil the interval", "[cli][plain]") {
  const TextSource text;
  Output output(text, {.steps = 20, .accum_steps = 2, .log_every = 4});
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  static_cast<void>(output.printed());
  output.update(1, -kNan);
  CHECK_THAT(output.printed(), ANE_CONTAINS("| train nan |"));
  output.update(2, -kNan);
  output.update(3, 2);
  CHECK_THAT(output.printed(), ANE_CONTAINS("| train 2.000 |"));
  train::UpdateLine line{.update = 1, .updates = 2, .train_loss = -kNan, .lr = 1e-3, .grad_norm = -kNan};
  line.tokens_per_second = -kNan;
  line.seconds_left = -kNan;
  const train::ValidationEvent validation{.update = 1, .loss = -kNan};
  CHECK(cli::update_line(line, &validation, 1.0) ==
        "update 1/2 | train nan | val nan nan bits/byte | lr 1.0e-03 | grad nan | nan tok/s | ? left");
}

TEST_CASE("numbers keep two digits, and speeds have a unit", "[cli][plain]") {
  train::UpdateLine line{.update = 1, .updates = 2, .train_loss = 0.00042, .lr = 1e-3, .grad_norm = 0.0034};
  line.tokens_per_second = 14123;
  line.seconds_left = 3725;
  CHECK(cli::update_line(line, nullptr, {}) ==
        "update 1/2 | train 4.2e-04 | lr 1.0e-03 | grad 3.4e-03 | 14.1k tok/s | 1:02:05 left");
  line.tokens_per_second = 1234567;
  line.train_loss = 0;
  CHECK_THAT(cli::update_line(line, nullptr, {}), ANE_CONTAINS("train 0.000 |") && ANE_CONTAINS("| 1.23M tok/s |"));
}
