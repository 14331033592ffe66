#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <unistd.h>

#include "ane/device/budget.h"
#include "ane/distributed/communicator.h"
#include "ane/math/threads.h"
#include "ane/surface/pool.h"
#include "ane/surface/surface.h"
#include "ane/train/optimizer.h"
#include "ane/train/state.h"
#include "ane/train/trainer.h"

/// Records all events of a run.
class Recorder final : public ane::train::Observer {
 public:
  void on_compile(const ane::train::CompileEvent& event) override { compiles.push_back(event); }
  void on_step(const ane::train::StepEvent& event) override { steps.push_back(event); }
  void on_update(const ane::train::UpdateEvent& event) override { updates.push_back(event); }
  void on_validation(const ane::train::ValidationEvent& event) override { validations.push_back(event); }
  void on_text_sample(const ane::train::TextSampleEvent& event) override { samples.push_back(event); }
  void on_checkpoint(const ane::train::CheckpointEvent& event) override { checkpoints.push_back(event); }
  void on_restart(const ane::train::RestartEvent& event) override { restarts.push_back(event); }
  void on_warning(const std::string& text) override { warnings.push_back(text); }

  std::vector<ane::train::CompileEvent> compiles;
  std::vector<ane::train::StepEvent> steps;
  std::vector<ane::train::UpdateEvent> updates;
  std::vector<ane::train::ValidationEvent> validations;
  std::vector<ane::train::TextSampleEvent> samples;
  std::vector<ane::train::CheckpointEvent> checkpoints;
  std::vector<ane::train::RestartEvent> restarts;
  std::vector<std::string> warnings;
};

inline constexpr std::uint64_t kFingerprint = 0xF00D;

/// Simulates the processes of a run in this one: each is a Trainer with its own model, budget and pool, and adopts the
/// state from a descriptor.
class Run {
 public:
  using MakeModel = std::function<std::unique_ptr<ane::model::Model>(ane::surface::SurfacePool&)>;

  /// `communicator`: to the other ranks, if any.
  Run(MakeModel make_model, const ane::data::Source& source, ane::train::TrainOptions options, int max_compiles,
      ane::distributed::Communicator* communicator = nullptr)
      : communicator_(communicator),
        make_model_(std::move(make_model)),
        source_(source),
        options_(std::move(options)),
        max_compiles_(max_compiles) {
    ane::surface::SurfacePool surfaces(allocator_);
    const auto model = make_model_(surfaces);
    layout_ = model->parameters();
    const ane::train::StateSlots slots = ane::train::optimizer_slots(options_.optimizer, layout_);
    if (communicator_ != nullptr)
      partition_.emplace(layout_, communicator_->size(), communicator_->rank(),
                         [kind = options_.optimizer.kind](const ane::model::Parameter& parameter) {
                           return ane::train::needs_whole_tensor(kind, parameter);
                         });
    state = std::make_unique<ane::train::StateArena>(
        layout_.size(), partition_ ? partition_->own_part_of(slots) : slots, kFingerprint, staleness());
    model->initialize(state->parameters(), 1);
  }

  /// One process.
  ane::train::Outcome run_once() {
    ane::surface::SurfacePool surfaces(allocator_);
    const auto model = make_model_(surfaces);
    ane::device::CompileBudget budget(max_compiles_);
    const std::unique_ptr<ane::train::Ranks> ranks = make_ranks();
    ane::train::Trainer trainer({.model = *model,
                                 .source = source_,
                                 .surfaces = surfaces,
                                 .threads = threads_,
                                 .budget = budget,
                                 .state = *state,
                                 .observers = {&recorder},
                                 .stop = stop,
                                 .sampler = sampler,
                                 .clock = clock,
                                 .ranks = ranks.get()},
                                options_);
    return trainer.run();
  }

  /// Runs processes until one does not request a restart.
  ane::train::Outcome run() {
    for (;;) {
      ++processes;
      const auto outcome = run_once();
      if (outcome != ane::train::Outcome::restart_needed) return outcome;
      adopt();
    }
  }

  void adopt() {
    const std::size_t size = state->parameters().size();
    ane::train::StateSlots slots(state->slots().begin(), state->slots().end());
    const int descriptor = ::dup(state->descriptor());
    state.reset();
    state = std::make_unique<ane::train::StateArena>(descriptor, size, std::move(slots), kFingerprint, staleness());
  }

  /// Null without a communicator.
  [[nodiscard]] std::unique_ptr<ane::train::Ranks> make_ranks() {
    if (communicator_ == nullptr) return nullptr;
    return std::make_unique<ane::train::Ranks>(*communicator_, *partition_, *state, layout_,
                                               ane::train::optimizer_slots(options_.optimizer, layout_));
  }

  [[nodiscard]] std::vector<float> parameters() const {
    const auto values = state->parameters();
    return {values.begin(), values.end()};
  }
  [[nodiscard]] std::vector<float> slot(std::size_t index) const {
    const auto values = state->slot(index);
    return {values.begin(), values.end()};
  }
  [[nodiscard]] const ane::train::Progress& progress() const { return state->progress(); }

  std::unique_ptr<ane::train::StateArena> state;
  Recorder recorder;
  ane::train::TextSampler* sampler = nullptr;
  std::atomic<bool> stop = false;
  std::function<std::int64_t()> clock = ane::train::since_boot_ns;
  int processes = 0;

 private:
  [[nodiscard]] ane::train::Staleness staleness() const {
    return options_.refresh_mode == ane::train::RefreshMode::pipeline ? ane::train::Staleness::one_update
                                                                      : ane::train::Staleness::none;
  }

  ane::distributed::Communicator* communicator_;
  ane::model::ParameterLayout layout_;
  std::optional<ane::train::Partition> partition_;
  MakeModel make_model_;
  const ane::data::Source& source_;
  ane::train::TrainOptions options_;
  int max_compiles_;
  ane::surface::HeapAllocator allocator_;
  ane::math::ThreadPool threads_{2};
};
