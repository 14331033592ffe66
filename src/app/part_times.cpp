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

/// The mean of at least three times, and of as many as fit into half a second, after a first one, which also pays for
/// memory that is touched for the first time. A mean, because a run, too, takes the sum of its parts.
double mean_seconds_of(const std::function<void()>& body) {
  constexpr int kFewest = 3;
  constexpr double kEnough = 0.5;
  body();
  int count = 0;
  double total = 0;
  for (; count < kFewest || total < kEnough; ++count) total += seconds_of(body);
  return total / count;
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
  parts.step_s = mean_seconds_of([&] {
    work.model.step(work.samples, work.state.parameters(), 1, work.state.gradients(), work.results, work.times);
    parts.backward_s = first_report.take_seconds();
  });
  work.model.set_gradient_listener(nullptr);
}

double evaluation_seconds(Work& work, const data::Source& source) {
  if (source.validation_count() == 0) return 0;
  for (std::size_t i = 0; i < work.samples.size(); ++i)
    source.validation_sample(i % source.validation_count(), work.samples[i]);
  return mean_seconds_of([&] { work.model.evaluate(work.samples, work.state.parameters(), work.results, work.times); });
}

double optimizer_seconds(const RunContext& context, train::StateArena& state) {
  const model::ParameterLayout& layout = context.model->parameters();
  train::Optimizer optimizer(context.settings.optimizer, layout);
  const std::vector<train::Piece> pieces = train::whole_pieces(layout);
  return mean_seconds_of(
      [&] { static_cast<void>(optimizer.update({.lr = 0}, pieces, state.gradients(), state, *context.threads)); });
}

}  // namespace

PartTimes measure_parts(RunContext& context, const data::Source& source, bool may_compile_twice) {
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
  parts.later_round_s = may_compile_twice ? seconds_of([&] { refresh(kernels, state->parameters()); })
                        : first_round > 0 ? parts.first_round_s * later_round / first_round
                                          : parts.first_round_s;
  if (!context.settings.checkpoint_dir.empty())
    parts.checkpoint_s = write_seconds(context.settings.checkpoint_dir, checkpoint_bytes(*state));
  return parts;
}

}  // namespace ane::app
