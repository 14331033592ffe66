#include "bench.h"

#include <algorithm>
#include <cstdio>
#include <exception>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "ane/app/fine_tuning.h"
#include "ane/app/model_choice.h"
#include "ane/cli/command_line.h"
#include "ane/cli/text.h"
#include "ane/core/error.h"
#include "ane/mil/text.h"
#include "ane/train/optimizer.h"
#include "ane/train/partition.h"

namespace ane::bench {

Arguments::Arguments(int argc, char** argv) : words_(argv + std::min(argc, 1), argv + argc) {}

std::optional<std::string> Arguments::take(std::string_view flag) {
  const auto found = std::find_if(words_.begin(), words_.end(), [&](const std::string& word) {
    return word == flag || word.starts_with(fmt::format("{}=", flag));
  });
  if (found == words_.end()) return std::nullopt;
  if (found->size() > flag.size()) {
    std::string value = found->substr(flag.size() + 1);
    words_.erase(found);
    return value;
  }
  if (found + 1 == words_.end()) throw UsageError(fmt::format("{} needs a value", flag));
  std::string value = *(found + 1);
  words_.erase(found, found + 2);
  return value;
}

std::int64_t Arguments::take_number(std::string_view flag, std::int64_t otherwise) {
  const std::optional<std::string> text = take(flag);
  if (!text) return otherwise;
  const std::optional<std::int64_t> number = cli::parse_integer(*text);
  if (!number || *number < 1) throw UsageError(fmt::format("{}: '{}' is not a whole number from 1", flag, *text));
  return *number;
}

bool Arguments::take_toggle(std::string_view flag) { return std::erase(words_, flag) > 0; }

cli::Settings Arguments::settings() const {
  const cli::CommandLine line = cli::parse_command_line(std::vector{cli::training_command()}, words_);
  if (line.answer)
    throw UsageError("the flags are ane-train's settings (ane-train --help) and those of this program: see bench/");
  cli::LoadedSettings loaded = cli::load_settings(line.values, {});
  app::adopt_model_file(loaded);
  app::adopt_adapter(loaded);
  if (loaded.values.device == cli::DeviceChoice::automatic) loaded.values.device = cli::DeviceChoice::host;
  return loaded.values;
}

Training::Training(const cli::Settings& settings, std::unique_ptr<device::Device> device)
    : context_(make_context(settings, std::move(device))),
      options_(app::train_options(context_.settings)),
      source_(app::open_source(context_.settings, std::nullopt)),
      state_(app::make_state(context_, std::nullopt, train::Partition(context_.model->parameters(), 1, 0),
                             [](const std::string& text) { fmt::print(stderr, "{}\n", text); })),
      optimizer_(options_.optimizer, context_.model->parameters()) {}

app::RunContext Training::make_context(cli::Settings settings, std::unique_ptr<device::Device> device) {
  if (device != nullptr) settings.parallel_sequences = 1;
  const auto time_calls = [&](std::unique_ptr<device::Device> selected) {
    auto timed = std::make_unique<TimingDevice>(std::move(device != nullptr ? device : selected));
    device_ = timed.get();
    return timed;
  };
  app::RunContext context =
      app::make_run_context(settings, {.wrap_device = time_calls, .spans = &spans_}, app::open_base_model(settings));
  if (context.frozen) context.frozen->load_vectors();
  return context;
}

void Training::compile() {
  context_.model->kernels().compile(model::PassMode::training, state_->parameters());
  static_cast<void>(context_.model->kernels().load_weights(model::PassMode::training, state_->parameters()));
}

model::StepTimes Training::step(std::size_t samples) {
  samples_.resize(samples);
  results_.resize(samples);
  for (data::Sample& sample : samples_) source_->training_sample(steps_++, sample);
  model::StepTimes times;
  context_.model->step(samples_, state_->parameters(), static_cast<float>(options_.loss_scale.initial),
                       state_->gradients(), results_, times);
  for (const model::StepResult& result : results_)
    if (result.overflow)
      throw Error(fmt::format("a step overflowed, so its time is meaningless: {}", *result.overflow));
  return times;
}

void Training::update() {
  const model::ParameterLayout& layout = context_.model->parameters();
  const double average = 1 / (static_cast<double>(options_.accum_steps) * options_.loss_scale.initial);
  const train::GradientNorm norm =
      train::gradient_norm(layout, state_->gradients(), average, options_.optimizer.grad_clip, *context_.threads);
  if (norm.unusable) throw Error(*norm.unusable);
  const train::UpdateStep step{.lr = options_.optimizer.lr, .grad_factor = average};
  static_cast<void>(
      optimizer_.update(step, train::whole_pieces(layout), state_->gradients(), *state_, *context_.threads));
}

train::Trainer::Parts Training::parts(device::CompileBudget& budget, std::vector<train::Observer*> observers,
                                      const std::atomic<bool>& stop) {
  return {.model = *context_.model,
          .source = *source_,
          .surfaces = *context_.surfaces,
          .threads = *context_.threads,
          .budget = budget,
          .state = *state_,
          .observers = std::move(observers),
          .stop = stop};
}

int run_main(int argc, char** argv, int (*run)(Arguments)) try {
  return run(Arguments(argc, argv));
} catch (const std::exception& error) {
  std::fflush(stdout);
  fmt::print(stderr, "{}: {}\n", argv[0], error.what());
  return 1;
}

}  // namespace ane::bench
