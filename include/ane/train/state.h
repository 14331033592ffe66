#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ane/core/descriptor.h"
#include "ane/core/mapped_memory.h"
#include "ane/math/threads.h"

namespace ane::train {

/// Sums over the whole run, re-executions included. Plain data: it lives in the arena.
struct RunTotals {
  std::int64_t started_ns = 0;       ///< monotonic clock, at the first process's start; main sets it, else the Trainer
  std::int64_t booked_until_ns = 0;  ///< RunClock's last booking
  std::int64_t startup_ns = 0;       ///< of the first process, before training
  std::int64_t compile_ns = 0;       ///< that training waited for
  std::int64_t hidden_compile_ns = 0;  ///< beside the steps of a pipeline; part of no wall time
  std::int64_t weights_ns = 0;         ///< handing weights to kernels that take them as input
  std::int64_t train_ns = 0;           ///< steps and updates
  std::int64_t validation_ns = 0;
  std::int64_t checkpoint_ns = 0;
  std::int64_t restart_ns = 0;  ///< from the last update of a process to where the next begins to compile
  std::int64_t steps = 0;       ///< run here; a resumed run counts its own, those that an interrupt dropped included
  std::int64_t compiles = 0;
  std::int64_t compile_rounds = 0;          ///< of training kernels
  std::int64_t forward_compile_rounds = 0;  ///< for a validation that no training follows
  std::int64_t failed_compiles_in_row = 0;  ///< rounds; a second on a fresh process is an error
  std::int64_t restarts = 0;
  std::int64_t updates = 0;  ///< made here, skipped ones included
  std::int64_t skipped_updates = 0;
  std::uint64_t recent_skips = 0;  ///< bit i: the update i before the last one was skipped
  std::int64_t surfaces_created = 0, surfaces_reused = 0, surfaces_released = 0;
  std::int64_t peak_memory_bytes = 0;
  std::int64_t checkpointed_update = -1;  ///< that the last checkpoint holds; -1: there is none
  std::int64_t checkpointed_ns = 0;       ///< monotonic clock, when it was asked for
  std::int64_t failed_checkpoints_in_row = 0;
  std::int64_t ane_ns = 0, io_ns = 0, classifier_ns = 0, elementwise_ns = 0, rms_norm_ns = 0, blas_wait_ns = 0;
};

/// Where training stands. Everything that the next step depends on besides parameters and moments.
struct Progress {
  std::int64_t step = 0;               ///< sequences done; always a whole update between processes
  std::int64_t update = 0;             ///< updates done, skipped ones included
  std::int64_t optimizer_updates = 0;  ///< updates applied: AdamW's bias correction
  double loss_scale = 1;
  std::int64_t good_updates = 0;  ///< since the scale last changed
  std::int64_t skipped_in_row = 0;
  double last_loss = 0;
};

/// Between an update and the first batch that runs with it.
enum class Delay { none, one_update };

/// The training state: one mapping that outlives exec. memfd on Linux, an unlinked shared mapping on macOS.
class StateArena {
 public:
  /// A fresh, zeroed state for `parameters` elements, their gradients and `moments` arrays of the same length (2 for
  /// AdamW, 0 for SGD). With a delay there is a second array of parameters, those that the next batch runs with.
  /// `fingerprint` identifies model and settings that must agree across a restart. Throws DeviceError if memory is
  /// short, with the size, and UsageError if a limit of this process (ulimit) forbids it.
  StateArena(std::size_t parameters, int moments, std::uint64_t fingerprint, Delay delay = Delay::none);
  /// Adopts what the process before left in `descriptor`, and owns the descriptor from then on. Throws UsageError if
  /// header, size or fingerprint disagree; the descriptor is then left alone, for it may be someone else's.
  StateArena(int descriptor, std::size_t parameters, int moments, std::uint64_t fingerprint, Delay delay = Delay::none);
  StateArena(const StateArena&) = delete;
  StateArena& operator=(const StateArena&) = delete;

  [[nodiscard]] Progress& progress() noexcept;
  [[nodiscard]] RunTotals& totals() noexcept;
  [[nodiscard]] std::span<float> parameters() noexcept;
  /// What the next batch runs with: parameters() itself, unless there is a delay.
  [[nodiscard]] std::span<float> running_parameters() noexcept;
  [[nodiscard]] Delay delay() const noexcept { return delay_; }
  [[nodiscard]] std::span<float> moment(int index) noexcept;  ///< 0: m, 1: v
  [[nodiscard]] int moment_count() const noexcept { return moments_; }
  /// Zero whenever no batch is under way, so that a process finds them as it needs them.
  [[nodiscard]] std::span<float> gradients() noexcept;
  /// Has the memory of a fresh state made up of huge pages, where that is possible: processes that adopt it then map it
  /// in no time, and every pass over it is faster.
  void back_with_huge_pages(math::ThreadPool& threads);
  /// Whether another process has made it.
  [[nodiscard]] bool adopted() const noexcept { return adopted_; }
  /// For the hand-off; stays owned by the arena.
  [[nodiscard]] int descriptor() const noexcept { return descriptor_.get(); }

 private:
  struct Header;
  void map();
  [[nodiscard]] Header& header() noexcept;
  [[nodiscard]] std::span<float> array(std::size_t index) noexcept;

  Descriptor descriptor_;
  std::size_t parameter_count_ = 0;
  int moments_ = 0;
  Delay delay_ = Delay::none;
  std::size_t size_bytes_ = 0;
  bool adopted_ = false;
  MappedMemory mapping_;
};

}  // namespace ane::train
