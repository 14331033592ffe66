#include "ane/train/trainer.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "ane/core/checked.h"
#include "ane/core/error.h"
#include "ane/core/memory_reserve.h"
#include "ane/train/evaluation.h"
#include "ane/train/loss_scale.h"
#include "ane/train/optimizer.h"
#include "ane/train/restart.h"
#include "ane/train/schedule.h"

namespace ane::train {

namespace {

using model::PassMode;
using model::StepTimes;

constexpr double kNsPerMinute = 60e9;

BestValidation with_validation(const BestValidation& best, std::int64_t update, double loss) {
  if (std::isfinite(loss) && (best.update < 0 || loss < best.loss)) return {.update = update, .loss = loss};
  return {.update = best.update, .loss = best.loss, .above = best.above + 1};
}

/// Counts `share` of the times as training.
void add_times(RunTotals& totals, const StepTimes& times, double share) {
  const auto part = [share](Duration time) { return std::llround(share * static_cast<double>(time.count())); };
  totals.ane_ns += part(times.ane);
  totals.io_ns += part(times.io);
  totals.classifier_ns += part(times.classifier);
  totals.elementwise_ns += part(times.elementwise);
  totals.rms_norm_ns += part(times.rms_norm);
  totals.blas_wait_ns += part(times.blas_wait);
}

}  // namespace

/// The sequences of one update while they run.
struct Trainer::Batch {
  std::int64_t sequences = 0;  ///< of all ranks
  Ranks::Share share;          ///< those of this one
  std::int64_t done = 0;       ///< finished sequences of this rank
  double lr = 0;
  double loss_sum = 0;
  double loss_sequences = 0;  ///< sum of StepResult::loss_share
  StepTimes times;
  Duration train{};
  std::optional<std::string> overflow;  ///< of the first one

  [[nodiscard]] std::int64_t remaining() const noexcept { return share.end - share.begin - done; }
};

namespace {

/// Over the tokens that count; NaN if none does.
double mean_loss(const BatchStatus& batch) { return batch.loss_sum / batch.loss_sequences; }

/// What the summed gradients are multiplied by, to be those of mean_loss().
double average(const BatchStatus& batch, double loss_scale) {
  return batch.loss_sequences > 0 ? 1 / (batch.loss_sequences * loss_scale) : 0;
}

}  // namespace

Trainer::Trainer(Parts parts, TrainOptions options)
    : parts_(std::move(parts)),
      options_(std::move(options)),
      clock_(parts_.state.totals()),
      refresher_({.kernels = parts_.model.kernels(),
                  .budget = parts_.budget,
                  .state = parts_.state,
                  .threads = parts_.threads,
                  .clock = clock_,
                  .observers = parts_.observers},
                 options_.refresh_mode),
      optimizer_(options_.optimizer, parts_.model.parameters()),
      checkpoints_({.model = parts_.model,
                    .source = parts_.source,
                    .state = parts_.state,
                    .clock = clock_,
                    .observers = parts_.observers,
                    .ranks = parts_.ranks,
                    .lock = parts_.checkpoint_lock},
                   options_) {
  assert(options_.steps >= 0 && options_.accum_steps > 0);
  assert(options_.sample_every == 0 || parts_.sampler != nullptr || !is_first_rank());
  assert(parts_.state.slots().size() == optimizer_slots(options_.optimizer, parts_.model.parameters()).size());
  // Compiles made before this are repeated by every process.
  if (const int needed = parts_.budget.used() + smallest_budget(parts_.model.kernels(), options_.refresh_mode);
      needed > parts_.budget.limit())
    throw UsageError(
        fmt::format("{} needs {} compiles, but a process may make only {}: a restart would not help. Use "
                    "--max-compiles {} (ANE_MAX_COMPILES) or more",
                    options_.refresh_mode == RefreshMode::pipeline ? "a pipeline (two sets of kernels)" : "one update",
                    needed, parts_.budget.limit(), needed));

  Progress& progress = parts_.state.progress();
  if (progress.update == 0 || !options_.loss_scale.dynamic) progress.loss_scale = options_.loss_scale.initial;
  // The same in every process of a run, because each starts at a whole update.
  last_good_ = progress;
  total_updates_ =
      progress.update + ceil_div(std::max<std::int64_t>(options_.steps - progress.step, 0), options_.accum_steps);
  if (RunTotals& totals = parts_.state.totals(); options_.max_minutes > 0 && totals.deadline_ns == 0)
    totals.deadline_ns =
        parts_.clock() - (monotonic_ns() - totals.started_ns) + std::llround(options_.max_minutes * kNsPerMinute);
  if (is_alone()) pieces_ = whole_pieces(parts_.model.parameters());
  if (RunTotals& totals = parts_.state.totals(); totals.synchronized_ns == 0) totals.synchronized_ns = monotonic_ns();
}

template <class Event>
void Trainer::notify(void (Observer::*hook)(const Event&), const Event& event) {
  for (Observer* observer : parts_.observers) (observer->*hook)(event);
}

/// For what all ranks have agreed on: one of them is enough.
void Trainer::warn(const std::string& text) {
  if (is_first_rank()) notify(&Observer::on_warning, text);
}

Outcome Trainer::run() {
  const surface::PoolCounters surfaces_before = parts_.surfaces.counters();
  clock_.book(parts_.state.adopted() ? &RunTotals::restart_ns : &RunTotals::startup_ns);
  try {
    const Outcome outcome = run_until_done();
    refresher_.wait();
    if (outcome == Outcome::restart_needed) {
      checkpoints_.finish();
      notify_restart();
    } else {
      if (outcome != Outcome::interrupted) expect_converging();
      checkpoints_.write_last();
      if (outcome == Outcome::finished) checkpoints_.remove_spare();
    }
    count_surfaces(surfaces_before);
    return outcome;
  } catch (...) {
    checkpoints_.finish();
    throw;
  }
}

Outcome Trainer::run_until_done() {
  while (!done() || validation_due() || text_sample_due()) {
    if (stop()) return Outcome::interrupted;
    if (out_of_time()) return Outcome::out_of_time;
    if (!refresher_.refresh(done() ? PassMode::forward : PassMode::training))
      return stop() ? Outcome::interrupted : Outcome::restart_needed;
    if (validation_due() && !validate()) return Outcome::interrupted;
    if (text_sample_due() && !sample_text()) return Outcome::interrupted;
    if (done()) break;
    if (!run_batch()) return Outcome::interrupted;
  }
  return Outcome::finished;
}

bool Trainer::done() const noexcept { return parts_.state.progress().step >= options_.steps; }

bool Trainer::validation_due() const {
  const std::int64_t update = parts_.state.progress().update;
  if (update == 0 || validated_update_ == update || parts_.source.validation_count() == 0) return false;
  return done() || (options_.validate_every > 0 && update % options_.validate_every == 0);
}

bool Trainer::text_sample_due() const {
  const std::int64_t update = parts_.state.progress().update;
  if (options_.sample_every == 0 || update == 0 || text_sample_update_ == update) return false;
  return done() || update % options_.sample_every == 0;
}

/// A run that has finished is still validated.
bool Trainer::out_of_time() const { return !done() && (is_alone() ? deadline_passed() : agreed_end_of_time_); }

bool Trainer::deadline_passed() const {
  const std::int64_t deadline_ns = parts_.state.totals().deadline_ns;
  return deadline_ns != 0 && parts_.clock() >= deadline_ns;
}

/// Returns false if interrupted; the gradients are then dropped.
bool Trainer::run_batch() {
  ensure_memory_reserve();  // for JSON written by observers
  const Progress& progress = parts_.state.progress();
  Batch batch;
  batch.sequences = std::min(options_.accum_steps, options_.steps - progress.step);
  batch.share = is_alone() ? Ranks::Share{0, batch.sequences} : parts_.ranks->share_of(batch.sequences);
  batch.lr = lr_at(progress.update, total_updates_, options_.optimizer);
  if (progress.step + batch.sequences < options_.steps) refresher_.compile_next();
  clock_.leave_out();
  if (!accumulate(batch)) return false;
  checkpoints_.hold();
  finish_update(batch);
  // The last one is written after the validation. One with a reduced loss scale would displace good ones.
  const bool minutes = is_alone() ? checkpoints_.minutes_have_passed() : agreed_checkpoint_;
  if (!done() && progress.skipped_in_row == 0 && checkpoints_.is_due(minutes)) checkpoints_.start();
  return true;
}

/// Tells the other ranks how the update went in this one, and adds to the event how it went in all of them. Returns the
/// name of a tensor that is no longer finite in any of them. Of the bytes sent, those of checkpoints are not counted.
std::optional<std::string> Trainer::end_update_together(const std::optional<std::string>& not_finite,
                                                        UpdateEvent& event) {
  if (is_alone()) return not_finite;
  RunTotals& totals = parts_.state.totals();
  const auto sent = static_cast<std::int64_t>(parts_.ranks->sent_bytes() - before_batch_.sent_bytes);
  totals.exchanged_bytes += sent;
  clock_.book(&RunTotals::train_ns);
  UpdateEnds ends =
      parts_.ranks->combine(UpdateEnd{.not_finite = not_finite,
                                      .arrival = arrival_,
                                      .times = {.compute = Duration(totals.train_ns - before_batch_.train_ns),
                                                .exchange = Duration(totals.exchange_ns - before_batch_.exchange_ns),
                                                .sent_bytes = sent}});
  clock_.book(&RunTotals::exchange_ns);
  totals.synchronized_ns = monotonic_ns();
  event.ranks = std::move(ends.times);
  return std::move(ends.not_finite);
}

/// Returns false if interrupted. Leaves no gradients behind unless the batch is complete.
bool Trainer::accumulate(Batch& batch) try {
  const std::int64_t first = parts_.state.progress().step + batch.share.begin;
  const RunTotals& totals = parts_.state.totals();
  if (!is_alone()) before_batch_ = {parts_.ranks->sent_bytes(), totals.train_ns, totals.exchange_ns};
  while (batch.remaining() > 0) {
    if (stop()) {
      drop(batch);
      return false;
    }
    const std::span<data::Sample> samples = samples_for(batch.remaining());
    for (data::Sample& sample : samples)
      parts_.source.training_sample(static_cast<std::uint64_t>(first + batch.done + (&sample - samples.data())),
                                    sample);
    run_slots(samples, batch);
    checkpoints_.poll();
    clock_.leave_out();
  }
  return true;
} catch (...) {
  drop(batch);
  throw;
}

/// Drops an incomplete batch.
void Trainer::drop(const Batch& batch) noexcept {
  parts_.state.totals().dropped_steps += batch.done;
  drop_gradients();
}

void Trainer::drop_gradients() noexcept { std::ranges::fill(parts_.state.gradients(), 0.0F); }

/// Samples for all batch slots, but no more than `count`.
std::span<data::Sample> Trainer::samples_for(std::int64_t count) {
  const auto at_once = static_cast<std::int64_t>(parts_.model.batch_slots());
  samples_.resize(parts_.model.batch_slots());
  results_.resize(samples_.size());
  return std::span(samples_).first(static_cast<std::size_t>(std::min(at_once, count)));
}

void Trainer::run_slots(std::span<const data::Sample> samples, Batch& batch) {
  const auto count = static_cast<std::int64_t>(samples.size());
  const Progress& progress = parts_.state.progress();
  RunTotals& totals = parts_.state.totals();
  const std::span<model::StepResult> results = std::span(results_).first(samples.size());
  StepTimes times;
  const bool is_last = count == batch.remaining();
  parts_.model.set_gradient_listener(is_last ? parts_.ranks : nullptr);
  parts_.model.step(samples, refresher_.parameters(), static_cast<float>(progress.loss_scale), parts_.state.gradients(),
                    results, times);
  const Duration time = clock_.book(&RunTotals::train_ns);
  batch.times += times;
  batch.train += time;
  add_times(totals, times, training_share(time, count));
  totals.steps += count;
  StepEvent event{.update = progress.update,
                  .lr = batch.lr,
                  .time = time / count,
                  .parts = times,
                  .compiles = parts_.budget.used()};
  event.parts /= count;
  for (const model::StepResult& result : results) {
    if (!batch.overflow && result.overflow) batch.overflow = result.overflow;
    if (!batch.overflow && !std::isfinite(result.loss)) batch.overflow = "the loss is not finite";
    batch.loss_sum += result.loss;
    batch.loss_sequences += result.loss_share;
    event.step = progress.step + batch.share.begin + ++batch.done;
    event.loss = result.loss / result.loss_share;
    event.more_follow = &result != &results.back();
    notify(&Observer::on_step, event);
  }
}

/// The part of `time`, the time of `count` concurrent steps, that counts as training: the first steps since a restart
/// also pay for it. Only groups of the usual size are compared.
double Trainer::training_share(Duration time, std::int64_t count) {
  RunTotals& totals = parts_.state.totals();
  const bool is_first = std::exchange(is_first_group_, false);
  const auto usual = std::min(static_cast<std::int64_t>(parts_.model.batch_slots()), options_.accum_steps);
  if (count != usual || time <= Duration()) return 1;
  if (!is_first) {
    ++totals.other_groups;
    totals.other_groups_ns += time.count();
  }
  if (!is_first || !parts_.state.adopted()) return 1;
  const auto excess = static_cast<double>(count_first_steps(totals, time).count());
  return 1 - excess / static_cast<double>(time.count());
}

/// Sums the gradients over all ranks.
void Trainer::exchange_gradients() {
  if (is_alone()) return;
  clock_.leave_out();
  arrival_ = Duration(monotonic_ns() - parts_.state.totals().synchronized_ns);
  parts_.ranks->sum_gradients();
  clock_.book(&RunTotals::exchange_ns);
}

/// What all ranks know about the batch, whose gradients have been exchanged.
BatchStatus Trainer::combined_status(const Batch& batch) {
  BatchStatus status{.loss_sum = batch.loss_sum, .loss_sequences = batch.loss_sequences, .overflow = batch.overflow};
  const std::span<const float> gradients = parts_.state.gradients();
  if (is_alone()) {
    status.gradients = sum_of_gradients(parts_.model.parameters(), gradients, parts_.threads);
    return status;
  }
  status.gradients = sum_of_gradients(parts_.ranks->own_pieces(), gradients, parts_.threads);
  status.stop = parts_.stop;
  status.checkpoint_due = checkpoints_.minutes_have_passed();
  status.deadline_passed = deadline_passed();
  clock_.book(&RunTotals::train_ns);
  status = parts_.ranks->combine(status);
  clock_.book(&RunTotals::exchange_ns);
  agreed_stop_ = status.stop;
  agreed_checkpoint_ = status.checkpoint_due;
  agreed_end_of_time_ = status.deadline_passed;
  return status;
}

/// Updates the parameters. Returns the name of a tensor that is no longer finite in this rank.
std::optional<std::string> Trainer::apply(const UpdateStep& step) {
  const std::span<const Piece> pieces = is_alone() ? pieces_ : parts_.ranks->own_pieces();
  std::optional<std::string> not_finite =
      optimizer_.update(step, pieces, parts_.state.gradients(), parts_.state, parts_.threads);
  if (is_alone()) return not_finite;
  drop_gradients();  // those that other ranks have applied
  clock_.book(&RunTotals::train_ns);
  parts_.ranks->gather_parameters();
  clock_.book(&RunTotals::exchange_ns);
  return not_finite;
}

void Trainer::finish_update(Batch& batch) {
  Progress& progress = parts_.state.progress();
  exchange_gradients();
  const BatchStatus status = combined_status(batch);
  const double factor = average(status, progress.loss_scale);
  const double clip = options_.optimizer.grad_clip;
  GradientNorm gradient = gradient_norm(status.gradients, factor, clip);
  if (status.overflow) gradient.unusable = status.overflow;

  UpdateEvent event{.update = progress.update + 1,
                    .step = progress.step + batch.sequences,
                    .steps_in_batch = static_cast<int>(batch.sequences),
                    .mean_loss = mean_loss(status),
                    .loss_sequences = status.loss_sequences,
                    .lr = batch.lr,
                    .grad_norm = gradient.norm,
                    .loss_scale = progress.loss_scale,
                    .skipped = gradient.unusable,
                    .compile = refresher_.time(),
                    .weights = refresher_.weights_time(),
                    .parts = batch.times,
                    .compiles = parts_.budget.used()};
  Progress next = progress;
  std::optional<std::string> not_finite;
  event.train = batch.train + clock_.book(&RunTotals::train_ns);
  refresher_.before_update();
  if (gradient.unusable) {
    drop_gradients();
    next = after_skipped_update(next, options_.loss_scale);
  } else if (status.loss_sequences == 0) {
    drop_gradients();  // they are 0, and an optimizer would still move the parameters
  } else {
    const double clipping = clip > 0 && gradient.norm > clip ? clip / gradient.norm : 1;
    not_finite = apply({.lr = batch.lr, .grad_factor = factor * clipping, .update_count = ++next.optimizer_updates});
    refresher_.parameters_changed();
    next = after_good_update(next, options_.loss_scale);
  }
  parts_.state.totals().steps += batch.sequences - batch.done;  // those of other ranks
  next.step = event.step;
  next.update = event.update;
  if (std::isfinite(event.mean_loss)) next.last_loss = event.mean_loss;
  progress = next;
  count_update(parts_.state.totals(), gradient.unusable.has_value());
  if (!gradient.unusable) last_good_ = next;
  event.validation_follows = validation_due() && (done() || options_.refresh_mode != RefreshMode::pipeline);

  event.train += clock_.book(&RunTotals::train_ns);
  not_finite = end_update_together(not_finite, event);
  notify(&Observer::on_update, event);
  if (not_finite)
    throw LostStateError(
        fmt::format("training diverged: update {} made '{}' or its optimizer state non-finite; start again, or from an "
                    "earlier checkpoint, with a lower --lr (it was {:.3g})",
                    event.update, *not_finite, batch.lr));
  if (gradient.unusable) report_skip(*gradient.unusable);
}

/// Resets the progress to the last applied update and throws DivergedError.
void Trainer::give_up(const std::string& what) {
  parts_.state.totals().dropped_steps += parts_.state.progress().step - last_good_.step;
  parts_.state.progress() = last_good_;
  throw DivergedError(
      fmt::format("training diverged: {}. The last good state is that of step {}: resume from it with a lower --lr (it "
                  "was {:.3g}), a longer --warmup or a smaller --grad-clip; if that overflows at once, resume from an "
                  "earlier checkpoint",
                  what, last_good_.step, options_.optimizer.lr));
}

/// Warns, or gives up after too many skips in a row.
void Trainer::report_skip(const std::string& reason) {
  const Progress& progress = parts_.state.progress();
  last_skip_ = reason;
  if (progress.skipped_in_row >= options_.loss_scale.give_up_after)
    give_up(
        fmt::format("{} updates in a row were skipped, the last (update {}, step {}) because {}; the loss scale has "
                    "been reduced to {}",
                    progress.skipped_in_row, progress.update, progress.step, reason, progress.loss_scale));
  warn(fmt::format("update {} skipped: {}; the loss scale is now {}", progress.update, reason, progress.loss_scale));
}

/// Throws if training has diverged, so that a diverged run neither succeeds nor leaves a checkpoint.
void Trainer::expect_converging() {
  if (validation_fault_ && done())
    throw LostStateError(
        fmt::format("training diverged: the validation at the end (update {}) overflowed twice because {}; start "
                    "again, or from an earlier checkpoint, with a lower --lr (it was {:.3g}) or a longer --warmup",
                    parts_.state.progress().update, *validation_fault_, options_.optimizer.lr));
  if (const RecentSkips recent = recent_skips(parts_.state.totals()); recent.diverged())
    give_up(fmt::format("{} of the last {} updates were skipped, the last one because {}", recent.skipped,
                        recent.updates, last_skip_.empty() ? "of an overflow" : last_skip_));
}

/// Returns false if interrupted. An overflow at the end is retried once, because the device may have caused it.
bool Trainer::validate() {
  std::optional<ValidationEvent> event = evaluate_held_out();
  if (!event) return false;
  if (validation_fault_ && done()) {
    warn(fmt::format("validation after update {} overflowed: {}; retrying once", event->update, *validation_fault_));
    event = evaluate_held_out();
    if (!event) return false;
  }
  validated_update_ = parts_.state.progress().update;
  if (validation_fault_)
    warn(fmt::format("validation after update {} overflowed: {}", *validated_update_, *validation_fault_));
  else if (!std::isfinite(event->loss))
    warn(fmt::format("validation after update {}: no token of its {} sequences counts", *validated_update_,
                     event->samples));
  BestValidation& best = parts_.state.totals().best_validation;
  best = with_validation(best, event->update, event->loss);
  event->best = best;
  notify(&Observer::on_validation, *event);
  if (!validation_fault_ && is_best(event->loss) && options_.keep_best && !done()) checkpoints_.keep_best();
  return true;
}

/// Whether `loss` is the lowest validation loss so far, which is then recorded.
bool Trainer::is_best(double loss) {
  Progress& progress = parts_.state.progress();
  if (!std::isfinite(loss)) return false;
  if (progress.best_validation_step != 0 && loss >= progress.best_validation_loss) return false;
  for (Progress* each : {&progress, &last_good_}) {
    each->best_validation_step = progress.step;
    each->best_validation_loss = loss;
  }
  return true;
}

/// Returns nullopt if interrupted. Sets `validation_fault_` to the non-finite tensor.
std::optional<ValidationEvent> Trainer::evaluate_held_out() {
  std::size_t count = parts_.source.validation_count();
  if (options_.validation_samples > 0) count = std::min(count, static_cast<std::size_t>(options_.validation_samples));
  clock_.leave_out();
  const auto [begin, end] = is_alone() ? Ranks::Share{0, static_cast<std::int64_t>(count)}
                                       : parts_.ranks->share_of(static_cast<std::int64_t>(count));
  Evaluation evaluation = evaluate(parts_.model, parts_.source, refresher_.parameters(),
                                   static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin), stop());
  if (!is_alone()) evaluation = parts_.ranks->combine(evaluation);
  const Duration time = clock_.book(&RunTotals::validation_ns);
  if (stop()) return std::nullopt;
  validation_fault_ = evaluation.overflow;
  return ValidationEvent{.update = parts_.state.progress().update - refresher_.updates_behind(),
                         .step = parts_.state.progress().step,
                         .loss = evaluation.loss,
                         .samples = count,
                         .time = time};
}

/// Returns false if interrupted.
bool Trainer::sample_text() {
  if (!is_first_rank()) {
    text_sample_update_ = parts_.state.progress().update;
    return true;
  }
  clock_.leave_out();
  TextSampleEvent event{.update = parts_.state.progress().update - refresher_.updates_behind(),
                        .step = parts_.state.progress().step,
                        .sample = parts_.sampler->sample(refresher_.parameters(), stop())};
  event.time = clock_.book(&RunTotals::sampling_ns);
  if (stop()) return false;
  text_sample_update_ = parts_.state.progress().update;
  notify(&Observer::on_text_sample, event);
  if (event.sample.overflow)
    notify(&Observer::on_warning,
           fmt::format("the sample after update {} ended early: {}", event.update, *event.sample.overflow));
  return true;
}

void Trainer::notify_restart() {
  const Progress& progress = parts_.state.progress();
  notify(&Observer::on_restart, RestartEvent{.step = progress.step,
                                             .update = progress.update,
                                             .compiles = parts_.budget.used(),
                                             .loss = progress.last_loss});
  clock_.leave_out();
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
