#include "ane/train/trainer.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "ane/core/error.h"
#include "ane/train/checkpoint.h"
#include "ane/train/loss_scale.h"
#include "ane/train/optimizer.h"
#include "ane/train/schedule.h"

namespace ane::train {

namespace {

using model::KernelSet;
using model::StepTimes;

std::int64_t ceil_div(std::int64_t count, std::int64_t size) { return count / size + (count % size != 0 ? 1 : 0); }

void add_times(RunTotals& totals, const StepTimes& times) {
  totals.ane_ns += times.ane.count();
  totals.io_ns += times.io.count();
  totals.classifier_ns += times.classifier.count();
  totals.elementwise_ns += times.elementwise.count();
  totals.rms_norm_ns += times.rms_norm.count();
  totals.blas_wait_ns += times.blas_wait.count();
}

}  // namespace

/// One update's worth of sequences, while they run.
struct Trainer::Batch {
  std::int64_t sequences = 0;
  double lr = 0;
  double loss_sum = 0;
  StepTimes times;
  Duration train{};
  std::optional<std::string> overflow;  ///< the first one

  [[nodiscard]] double mean_loss() const { return loss_sum / static_cast<double>(sequences); }
};

Trainer::Trainer(Parts parts, TrainOptions options)
    : parts_(std::move(parts)),
      options_(std::move(options)),
      clock_(parts_.state.totals()),
      supply_({.model = parts_.model,
               .budget = parts_.budget,
               .state = parts_.state,
               .threads = parts_.threads,
               .clock = clock_,
               .observers = parts_.observers},
              options_.renewal) {
  assert(options_.steps >= 0 && options_.accum_steps > 0);
  assert(parts_.state.moment_count() == optimizer_moments(options_.optimizer.kind));
  // What has been compiled before this is compiled again by every process.
  if (const int needed = parts_.budget.used() + smallest_budget(parts_.model, options_.renewal);
      needed > parts_.budget.limit())
    throw UsageError(
        fmt::format("{} needs {} compiles, but a process may make only {}: no restart would get any "
                    "further. Use --max-compiles {} (ANE_MAX_COMPILES) or more",
                    options_.renewal == Renewal::pipeline ? "a pipeline (two sets of kernels)" : "one update", needed,
                    parts_.budget.limit(), needed));

  Progress& progress = parts_.state.progress();
  if (progress.update == 0 || !options_.loss_scale.dynamic) progress.loss_scale = options_.loss_scale.initial;
  // The same in every process of a run, for each stands at a whole update.
  last_good_ = progress;
  total_updates_ =
      progress.update + ceil_div(std::max<std::int64_t>(options_.steps - progress.step, 0), options_.accum_steps);
}

template <class Event>
void Trainer::tell(void (Observer::*hook)(const Event&), const Event& event) {
  for (Observer* observer : parts_.observers) (observer->*hook)(event);
}

Outcome Trainer::run() {
  const surface::PoolCounters surfaces_before = parts_.surfaces.counters();
  clock_.book(parts_.state.adopted() ? &RunTotals::restart_ns : &RunTotals::startup_ns);
  const Outcome outcome = run_until_done();
  supply_.wait();
  count_surfaces(surfaces_before);
  return outcome;
}

Outcome Trainer::run_until_done() {
  while (!done() || validation_due()) {
    if (parts_.stop) return interrupt();
    if (!supply_.provide(done() ? KernelSet::forward : KernelSet::training)) return restart();
    if (validation_due() && !validate()) return interrupt();
    if (done()) break;
    if (!run_batch()) return interrupt();
  }
  return Outcome::finished;
}

bool Trainer::done() const noexcept { return parts_.state.progress().step >= options_.steps; }

bool Trainer::validation_due() const {
  const std::int64_t update = parts_.state.progress().update;
  if (update == 0 || validated_update_ == update || parts_.source.validation_count() == 0) return false;
  return done() || (options_.validate_every > 0 && update % options_.validate_every == 0);
}

/// False if it was interrupted; the gradients are then dropped.
bool Trainer::run_batch() {
  const Progress& progress = parts_.state.progress();
  Batch batch;
  batch.sequences = std::min(options_.accum_steps, options_.steps - progress.step);
  batch.lr = lr_at(progress.update, total_updates_, options_.optimizer);
  if (progress.step + batch.sequences < options_.steps) supply_.begin_next();
  clock_.leave_out();
  if (!accumulate(batch)) return false;
  finish_update(batch);
  // One of a shrunken loss scale would hide those before it.
  const bool due = options_.checkpoint_every > 0 && progress.update % options_.checkpoint_every == 0;
  write_checkpoint_if(done() || (due && progress.skipped_in_row == 0));
  return true;
}

/// Leaves no gradients behind unless the batch is whole.
bool Trainer::accumulate(Batch& batch) try {
  const bool whole = run_steps(batch);
  if (!whole) drop_gradients();
  return whole;
} catch (...) {
  drop_gradients();
  throw;
}

void Trainer::drop_gradients() noexcept { std::ranges::fill(parts_.state.gradients(), 0.0F); }

bool Trainer::run_steps(Batch& batch) {
  const Progress& progress = parts_.state.progress();
  RunTotals& totals = parts_.state.totals();
  data::Sample sample;
  for (std::int64_t i = 0; i < batch.sequences; ++i) {
    if (parts_.stop) return false;
    StepEvent event{.step = progress.step + i + 1, .lr = batch.lr, .compiles = parts_.budget.used()};
    parts_.source.training_sample(static_cast<std::uint64_t>(progress.step + i), sample);
    const model::StepResult result = parts_.model.step(
        sample, supply_.parameters(), static_cast<float>(progress.loss_scale), parts_.state.gradients(), event.parts);
    if (!batch.overflow && result.overflow) batch.overflow = result.overflow;
    if (!batch.overflow && !std::isfinite(result.loss)) batch.overflow = "the loss is not finite";
    batch.loss_sum += result.loss;
    batch.times += event.parts;
    add_times(totals, event.parts);
    ++totals.steps;
    event.loss = result.loss;
    event.time = clock_.book(&RunTotals::train_ns);
    batch.train += event.time;
    tell(&Observer::on_step, event);
    clock_.leave_out();
  }
  return true;
}

void Trainer::finish_update(Batch& batch) {
  Progress& progress = parts_.state.progress();
  const double average = 1 / (static_cast<double>(batch.sequences) * progress.loss_scale);
  const double clip = options_.optimizer.grad_clip;
  const model::ParameterLayout& layout = parts_.model.parameters();
  GradientNorm gradient = gradient_norm(layout, parts_.state.gradients(), average, clip, parts_.threads);
  if (batch.overflow) gradient.unusable = batch.overflow;

  UpdateEvent event{.update = progress.update + 1,
                    .step = progress.step + batch.sequences,
                    .steps_in_batch = static_cast<int>(batch.sequences),
                    .mean_loss = batch.mean_loss(),
                    .lr = batch.lr,
                    .grad_norm = gradient.norm,
                    .loss_scale = progress.loss_scale,
                    .skipped = gradient.unusable,
                    .compile = supply_.time(),
                    .parts = batch.times,
                    .compiles = parts_.budget.used()};
  Progress next = progress;
  event.train = batch.train + clock_.book(&RunTotals::train_ns);
  supply_.before_update();
  if (gradient.unusable) {
    drop_gradients();
    ++parts_.state.totals().skipped_updates;
    next = after_skipped_update(next, options_.loss_scale);
  } else {
    const double clipping = clip > 0 && gradient.norm > clip ? clip / gradient.norm : 1;
    const UpdateStep step{.lr = batch.lr, .grad_factor = average * clipping, .update_count = ++next.optimizer_updates};
    apply_update(options_.optimizer, step, layout, parts_.state.gradients(), parts_.state, parts_.threads);
    supply_.parameters_changed();
    next = after_good_update(next, options_.loss_scale);
  }
  next.step = event.step;
  next.update = event.update;
  if (std::isfinite(event.mean_loss)) next.last_loss = event.mean_loss;
  progress = next;
  if (!gradient.unusable) last_good_ = next;

  event.train += clock_.book(&RunTotals::train_ns);
  tell(&Observer::on_update, event);
  if (gradient.unusable) report_skip(*gradient.unusable);
}

/// Warns, or throws DivergedError if this has gone on for too long.
void Trainer::report_skip(const std::string& reason) {
  Progress& progress = parts_.state.progress();
  if (progress.skipped_in_row >= options_.loss_scale.give_up_after) {
    const Progress last = std::exchange(progress, last_good_);
    throw DivergedError(fmt::format(
        "training diverged: {} updates in a row were skipped, the last (update {}, step {}) because {}; the loss "
        "scale is down to {}. The last good state is that of step {}: go on from it with a lower --lr, a longer "
        "--warmup or a smaller --grad-clip",
        last.skipped_in_row, last.update, last.step, reason, last.loss_scale, last_good_.step));
  }
  tell(&Observer::on_warning,
       fmt::format("update {} skipped: {}; the loss scale is now {}", progress.update, reason, progress.loss_scale));
}

/// False if it was interrupted.
bool Trainer::validate() {
  std::size_t count = parts_.source.validation_count();
  if (options_.validation_samples > 0) count = std::min(count, static_cast<std::size_t>(options_.validation_samples));
  clock_.leave_out();
  data::Sample sample;
  StepTimes times;
  double loss_sum = 0;
  std::optional<std::string> overflow;
  for (std::size_t i = 0; i < count; ++i) {
    if (parts_.stop) break;
    parts_.source.validation_sample(i, sample);
    const model::StepResult result = parts_.model.evaluate(sample, supply_.parameters(), times);
    loss_sum += result.loss;
    if (!overflow) overflow = result.overflow;
  }
  const Duration time = clock_.book(&RunTotals::validation_ns);
  if (parts_.stop) return false;

  const std::int64_t update = parts_.state.progress().update;
  validated_update_ = update;
  if (overflow)
    tell(&Observer::on_warning, fmt::format("validation after update {} overflowed: {}", update, *overflow));
  tell(&Observer::on_validation, ValidationEvent{.update = update - supply_.updates_behind(),
                                                 .loss = loss_sum / static_cast<double>(count),
                                                 .samples = count,
                                                 .time = time});
  return true;
}

void Trainer::write_checkpoint_if(bool due) {
  const Progress& progress = parts_.state.progress();
  if (!due || !options_.checkpoint_dir || checkpointed_update_ == progress.update) return;
  clock_.leave_out();
  CheckpointEvent event{.step = progress.step};
  event.path = write_checkpoint(*options_.checkpoint_dir, parts_.model.parameters(), parts_.state,
                                identity_of(parts_.model, parts_.source));
  event.time = clock_.book(&RunTotals::checkpoint_ns);
  checkpointed_update_ = progress.update;
  tell(&Observer::on_checkpoint, event);
}

Outcome Trainer::restart() {
  const Progress& progress = parts_.state.progress();
  tell(&Observer::on_restart,
       RestartEvent{.step = progress.step, .compiles = parts_.budget.used(), .loss = progress.last_loss});
  clock_.leave_out();
  return Outcome::restart_needed;
}

Outcome Trainer::interrupt() {
  write_checkpoint_if(true);
  return Outcome::interrupted;
}

void Trainer::count_surfaces(const surface::PoolCounters& before) {
  const surface::PoolCounters& now = parts_.surfaces.counters();
  RunTotals& totals = parts_.state.totals();
  totals.surfaces_created += static_cast<std::int64_t>(now.created - before.created);
  totals.surfaces_reused += static_cast<std::int64_t>(now.reused - before.reused);
  totals.surfaces_released += static_cast<std::int64_t>(now.released - before.released);
  totals.peak_memory_bytes = std::max(totals.peak_memory_bytes, peak_memory_bytes());
}

}  // namespace ane::train
