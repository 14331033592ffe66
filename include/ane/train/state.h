#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ane/train/observer.h"

namespace ane::train {

/// Sums over the whole run, re-executions included. Plain data: it lives in the arena.
struct RunTotals {
  std::int64_t started_ns = 0;  ///< monotonic clock, at the first process's start
  std::int64_t startup_ns = 0;  ///< before the first compile, over all processes
  std::int64_t compile_ns = 0;
  std::int64_t train_ns = 0;  ///< steps and updates
  std::int64_t validation_ns = 0;
  std::int64_t checkpoint_ns = 0;
  std::int64_t restart_ns = 0;  ///< from before exec to the adopted state, over all restarts
  std::int64_t steps = 0;       ///< in this run; a resumed run counts its own
  std::int64_t compiles = 0;
  std::int64_t compile_rounds = 0;
  std::int64_t restarts = 0;
  std::int64_t skipped_updates = 0;
  std::int64_t surfaces_created = 0, surfaces_reused = 0, surfaces_released = 0;
  std::int64_t peak_memory_bytes = 0;
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

/// The training state: one mapping that outlives exec. memfd on Linux, an unlinked shared mapping on macOS.
class StateArena {
 public:
  /// A fresh, zeroed state for `parameters` elements and `moments` arrays of the same length (2 for AdamW, 0 for SGD).
  /// `fingerprint` identifies model and settings that must agree across a restart. Throws Error if memory is short,
  /// with the size.
  StateArena(std::size_t parameters, int moments, std::uint64_t fingerprint);
  /// Adopts what the process before left in `descriptor`. Throws Error if header, size or fingerprint disagree.
  StateArena(int descriptor, std::size_t parameters, int moments, std::uint64_t fingerprint);
  ~StateArena();
  StateArena(const StateArena&) = delete;
  StateArena& operator=(const StateArena&) = delete;

  [[nodiscard]] Progress& progress() noexcept;
  [[nodiscard]] RunTotals& totals() noexcept;
  [[nodiscard]] std::span<float> parameters() noexcept;
  [[nodiscard]] std::span<float> moment(int index) noexcept;  ///< 0: m, 1: v
  [[nodiscard]] int moment_count() const noexcept { return moments_; }
  /// For the hand-off; stays owned by the arena.
  [[nodiscard]] int descriptor() const noexcept { return descriptor_; }

 private:
  void map(bool fresh, std::uint64_t fingerprint);

  int descriptor_ = -1;
  std::size_t parameter_count_ = 0;
  int moments_ = 0;
  std::span<std::byte> mapping_;
};

}  // namespace ane::train
