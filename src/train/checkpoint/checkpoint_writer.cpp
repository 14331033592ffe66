#include "ane/train/checkpoint_writer.h"

#include <cassert>
#include <chrono>
#include <exception>
#include <memory>
#include <new>
#include <thread>
#include <utility>

#ifdef __APPLE__
#include <pthread/qos.h>
#else
#include <sys/resource.h>
#endif

#include "ane/core/background.h"
#include "ane/train/clock.h"
#include "ane/train/restart.h"

namespace ane::train {

namespace {

/// Gives the calling thread the lowest priority.
void lower_priority() noexcept {
#ifdef __APPLE__
  pthread_set_qos_class_self_np(QOS_CLASS_UTILITY, 0);
#else
  constexpr int kNice = 19;
  ::setpriority(PRIO_PROCESS, 0, kNice);  // only this thread on Linux
#endif
}

}  // namespace

CheckpointWriter::CheckpointWriter(std::filesystem::path directory, Retention retention,
                                   const model::ParameterLayout& layout, StateArena& state, RunLock* lock)
    : directory_(std::move(directory)), retention_(retention), layout_(&layout), state_(&state), lock_(lock) {}

CheckpointWriter::~CheckpointWriter() {
  if (busy()) result_.wait();
}

void CheckpointWriter::start(const CheckpointIdentity& identity, std::launch how, WholeSlots* whole_slots) {
  assert(!busy());
  const auto copied = std::make_shared<std::promise<void>>();
  copied_ = copied->get_future();
  const BlockedSignals blocked;  // inherited by the thread, so that the training thread receives the signals
  const auto work = [this, copied, identity, whole_slots, trainer = std::this_thread::get_id(),
                     record = TrainerRecord{state_->progress(), state_->totals()}] {
    if (std::this_thread::get_id() != trainer) lower_priority();
    return write(record, identity, *copied, whole_slots);
  };
  const bool in_background = how != std::launch::deferred && whole_slots == nullptr;
  result_ = in_background ? run_in_background(work) : std::async(std::launch::deferred, work);
  if (whole_slots != nullptr) result_.wait();
}

CheckpointWriter::Result CheckpointWriter::write(const TrainerRecord& record, const CheckpointIdentity& identity,
                                                 std::promise<void>& copied, WholeSlots* whole_slots) const {
  Result result{.event = {.step = record.progress.step, .update = record.progress.update, .begin_ns = monotonic_ns()}};
  bool state_is_free = false;
  const auto free_state = [&] {
    if (!std::exchange(state_is_free, true)) copied.set_value();
  };
  try {
    if (lock_ != nullptr) lock_->keep();
    result.event.path = write_checkpoint(directory_, *layout_, *state_, record, identity, free_state, whole_slots);
    try {
      remove_old_checkpoints(directory_, retention_);
    } catch (const std::exception& error) {
      result.warning = error.what();
    }
  } catch (const std::bad_alloc&) {
    result.failure = "out of memory";
  } catch (const std::exception& error) {
    result.failure = error.what();
  }
  free_state();
  result.event.time = Duration(monotonic_ns() - result.event.begin_ns);
  return result;
}

void CheckpointWriter::wait_until_copied() {
  if (!busy()) return;
  if (result_.wait_for(std::chrono::seconds(0)) == std::future_status::deferred) result_.wait();
  copied_.wait();
}

std::optional<CheckpointWriter::Result> CheckpointWriter::poll() {
  if (!busy() || result_.wait_for(std::chrono::seconds(0)) != std::future_status::ready) return std::nullopt;
  return result_.get();
}

std::optional<CheckpointWriter::Result> CheckpointWriter::wait() {
  if (!busy()) return std::nullopt;
  return result_.get();
}

}  // namespace ane::train
