#include "ane/app/part_times.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

#include "ane/core/file.h"
#include "ane/model/model.h"
#include "ane/train/optimizer.h"
#include "ane/train/partition.h"
#include "ane/train/state.h"

namespace ane::app {
namespace {

namespace fs = std::filesystem;
using model::PassMode;

double seconds_of(const std::function<void()>& body) {
  const auto begin = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

struct Repeated {
  double first_s = 0;  ///< of the first time, which also pays for memory that is touched for the first time
  double mean_s = 0;   ///< of the others. A mean, because a run, too, takes the sum of its parts.
};

/// Runs `body` once and then at least three times, and for half a second.
Repeated repeat(const std::function<void()>& body) {
  constexpr int kFewest = 3;
  constexpr double kEnough = 0.5;
  Repeated times{.first_s = seconds_of(body)};
  int count = 0;
  double total = 0;
  for (; count < kFewest || total < kEnough; ++count) total += seconds_of(body);
  times.mean_s = total / count;
  return times;
}

void refresh(model::Kernels& kernels, std::span<const float> parameters) {
  if (kernels.compiles_needed(PassMode::training) > 0) kernels.compile(PassMode::training, parameters);
  static_cast<void>(kernels.load_weights(PassMode::training, parameters));
}

/// The directory itself, or the nearest above it that exists.
fs::path existing_directory(fs::path directory) {
  std::error_code error;
  directory = fs::absolute(directory, error);
  while (!fs::is_directory(directory, error) && directory.has_relative_path()) directory = directory.parent_path();
  return directory;
}

/// Writing `bytes` to the disk of `directory`, from the speed of a part of them.
double write_seconds(const fs::path& directory, std::size_t bytes) {
  constexpr std::size_t kMostWritten = std::size_t{64} << 20U;
  if (bytes == 0) return 0;
  const std::vector<std::byte> part(std::min(bytes, kMostWritten));
  TemporaryFile file(existing_directory(directory) / "ane-train-write-speed");  // removed, because it is not committed
  return seconds_of([&] { file.write(part); }) * static_cast<double>(bytes) / static_cast<double>(part.size());
}

std::size_t checkpoint_bytes(train::StateArena& state) {
  std::size_t values = state.parameters().size();
  for (const train::StateSlot& slot : state.slots()) values += slot.layout.size();
  return values * sizeof(float);
}

/// A part of a run needs these beside the context.
struct Work {
  model::Model& model;
  train::StateArena& state;
  std::vector<data::Sample> samples;
  std::vector<model::StepResult> results{samples.size()};
  model::StepTimes times{};

  void step() { model.step(samples, state.parameters(), 1, state.gradients(), results, times); }
};

/// Notes when the backward pass has completed the gradients of the last layer.
class FirstReport : public model::GradientListener {
 public:
  void on_layer_gradients(std::size_t /*layer*/) override {
    if (!time_) time_ = std::chrono::steady_clock::now();
  }
  /// The time since then, 0 if no layer was reported; the next report is the first one again.
  double take_seconds() {
    const auto begin = std::exchange(time_, std::nullopt);
    return begin ? std::chrono::duration<double>(std::chrono::steady_clock::now() - *begin).count() : 0;
  }

 private:
  std::optional<std::chrono::steady_clock::time_point> time_;
};

void measure_steps(Work& work, PartTimes& parts) {
  FirstReport first_report;
  work.model.set_gradient_listener(&first_report);
  const Repeated steps = repeat([&] {
    work.step();
    parts.backward_s = first_report.take_seconds();
  });
  work.model.set_gradient_listener(nullptr);
  parts.step_s = steps.mean_s;
  parts.warm_up_s = std::max(steps.first_s - steps.mean_s, 0.0);
}

/// A compile round, and what the first step with new weights takes beyond others, because it converts or first touches
/// them. Makes at most `most` rounds.
double later_round_seconds(Work& work, model::Kernels& kernels, double step_s, int most) {
  constexpr int kMost = 10;
  const int count = std::min(most, kMost);
  const double total = seconds_of([&] {
    for (int i = 0; i < count; ++i) {
      refresh(kernels, work.state.parameters());
      work.step();
    }
  });
  return std::max(total / count - step_s, 0.0);
}

double evaluation_seconds(Work& work, const data::Source& source) {
  if (source.validation_count() == 0) return 0;
  for (std::size_t i = 0; i < work.samples.size(); ++i)
    source.validation_sample(i % source.validation_count(), work.samples[i]);
  return repeat([&] { work.model.evaluate(work.samples, work.state.parameters(), work.results, work.times); }).mean_s;
}

double optimizer_seconds(const RunContext& context, train::StateArena& state) {
  const model::ParameterLayout& layout = context.model->parameters();
  train::Optimizer optimizer(context.settings.optimizer, layout);
  const std::vector<train::Piece> pieces = train::whole_pieces(layout);
  return repeat([&] {
           static_cast<void>(optimizer.update({.lr = 0}, pieces, state.gradients(), state, *context.threads));
         })
      .mean_s;
}

}  // namespace

PartTimes measure_parts(RunContext& context, const data::Source& source, int later_rounds) {
  model::Model& model = *context.model;
  if (context.frozen) context.frozen->load_vectors();
  const train::Partition alone(model.parameters(), 1, 0);
  const std::unique_ptr<train::StateArena> state = make_state(context, {}, alone, [](const std::string&) {});
  PartTimes parts{.slots = model.batch_slots()};
  model::Kernels& kernels = model.kernels();
  const int first_round = kernels.compiles_needed(PassMode::training);
  parts.first_round_s = seconds_of([&] { refresh(kernels, state->parameters()); });
  Work work{.model = model, .state = *state, .samples = std::vector<data::Sample>(parts.slots)};
  for (std::size_t i = 0; i < parts.slots; ++i) source.training_sample(i, work.samples[i]);
  measure_steps(work, parts);
  parts.optimizer_s = optimizer_seconds(context, *state);
  parts.evaluation_s = evaluation_seconds(work, source);
  const int later_round = kernels.compiles_needed(PassMode::training);
  parts.later_round_s = later_rounds > 0  ? later_round_seconds(work, kernels, parts.step_s, later_rounds)
                        : first_round > 0 ? parts.first_round_s * later_round / first_round
                                          : parts.first_round_s;
  if (!context.settings.checkpoint_dir.empty())
    parts.checkpoint_s = write_seconds(context.settings.checkpoint_dir, checkpoint_bytes(*state));
  return parts;
}

}  // namespace ane::app
