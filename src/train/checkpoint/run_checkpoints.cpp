#include "ane/train/run_checkpoints.h"

#include <algorithm>
#include <chrono>
#include <memory>

#include <fmt/format.h>

#include "ane/core/error.h"
#include "ane/train/checkpoint.h"

namespace ane::train {

namespace {

/// Training has continued from all but the newest checkpoint, so only that one may be about to diverge.
constexpr std::int64_t kKeptWhileTraining = 2;

}  // namespace

RunCheckpoints::RunCheckpoints(const Parts& parts, const TrainOptions& options) : parts_(parts), options_(options) {
  if (!options.checkpoint_dir || !is_first_rank()) return;
  writer_.emplace(
      *options.checkpoint_dir,
      Retention{.newest = std::max(options.keep_checkpoints, kKeptWhileTraining), .best = options.keep_best},
      parts.model.parameters(), parts.state, parts.lock);
}

template <class Event>
void RunCheckpoints::notify(void (Observer::*hook)(const Event&), const Event& event) const {
  for (Observer* observer : parts_.observers) (observer->*hook)(event);
}

/// What only the first rank knows.
bool RunCheckpoints::decided_by_first(bool own) const {
  return parts_.ranks == nullptr ? own : parts_.ranks->decided_by_first(own);
}

bool RunCheckpoints::minutes_have_passed() const {
  const RunTotals& totals = parts_.state.totals();
  const std::chrono::nanoseconds since(monotonic_ns() - std::max(totals.started_ns, totals.checkpointed_ns));
  return options_.checkpoint_minutes > 0 && since >= std::chrono::minutes(options_.checkpoint_minutes);
}

bool RunCheckpoints::is_due(bool minutes) const {
  if (!options_.checkpoint_dir) return false;
  const std::int64_t update = parts_.state.progress().update;
  return minutes || (options_.checkpoint_every > 0 && update % options_.checkpoint_every == 0);
}

void RunCheckpoints::start() {
  if (options_.checkpoint_dir) start(std::launch::async);
}

void RunCheckpoints::start(std::launch how) {
  if (!is_first_rank()) return parts_.ranks->serve_checkpoint();
  finish();
  CheckpointIdentity identity = identity_of(parts_.model, parts_.source);
  identity.settings = options_.settings;
  identity.companions = options_.companions;
  identity.fine_tuning = options_.fine_tuning;
  parts_.state.totals().checkpointed_ns = monotonic_ns();
  saved_update_ = parts_.state.progress().update;
  parts_.clock.leave_out();
  const std::unique_ptr<WholeSlots> whole_slots = parts_.ranks == nullptr ? nullptr : parts_.ranks->whole_slots();
  writer_->start(identity, how, whole_slots.get());
  if (whole_slots) parts_.clock.book(&RunTotals::checkpoint_ns);
}

void RunCheckpoints::keep_best() {
  if (!options_.checkpoint_dir) return;
  const std::int64_t update = parts_.state.progress().update;
  if (decided_by_first(saved_update_ != update && parts_.state.totals().checkpointed_update != update)) start();
}

void RunCheckpoints::hold() {
  if (!writer_) return;
  parts_.clock.leave_out();
  writer_->wait_until_copied();
  parts_.clock.book(&RunTotals::checkpoint_ns);
}

void RunCheckpoints::poll() {
  if (writer_) take(writer_->poll());
}

void RunCheckpoints::finish() {
  if (!writer_) return;
  parts_.clock.leave_out();
  const std::optional<CheckpointWriter::Result> result = writer_->wait();
  parts_.clock.book(&RunTotals::checkpoint_ns);
  take(result);
}

void RunCheckpoints::take(const std::optional<CheckpointWriter::Result>& result) {
  if (!result) return;
  RunTotals& totals = parts_.state.totals();
  if (result->failure) {
    failure_ = *result->failure;
    if (++totals.failed_checkpoints_in_row == 1)
      notify(&Observer::on_warning,
             fmt::format("the checkpoint of step {} could not be written: {}. Training continues and older checkpoints "
                         "are kept; there is no further warning until a checkpoint succeeds",
                         result->event.step, *result->failure));
    return;
  }
  totals.failed_checkpoints_in_row = 0;
  totals.checkpointed_update = result->event.update;
  notify(&Observer::on_checkpoint, result->event);
  if (result->warning) notify(&Observer::on_warning, *result->warning);
}

void RunCheckpoints::write_last() {
  if (!options_.checkpoint_dir) return;
  const auto is_written = [this] {
    return parts_.state.totals().checkpointed_update == parts_.state.progress().update;
  };
  finish();
  if (decided_by_first(is_written())) return;
  start(std::launch::deferred);  // there is nothing left to overlap with
  finish();
  if (is_first_rank() && !is_written())
    throw FileError(fmt::format("the run's last checkpoint is missing: {}", failure_));
}

void RunCheckpoints::remove_spare() try {
  if (writer_ && options_.keep_checkpoints < kKeptWhileTraining)
    remove_old_checkpoints(*options_.checkpoint_dir, {.newest = options_.keep_checkpoints, .best = options_.keep_best});
} catch (const FileError& error) {
  notify(&Observer::on_warning, std::string(error.what()));
}

}  // namespace ane::train
