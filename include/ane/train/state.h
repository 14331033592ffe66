#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "ane/core/descriptor.h"
#include "ane/core/mapped_memory.h"
#include "ane/math/threads.h"
#include "ane/model/parameters.h"
#include "ane/train/log_state.h"
#include "ane/train/observer.h"

namespace ane::train {

/// Totals over the whole run, across re-executions. Plain data that lives in the arena.
struct RunTotals {
  std::uint64_t run_id = 0;     ///< random; set by the first process
  std::int64_t started_ns = 0;  ///< monotonic clock at the start of the first process; set by main, else by the Trainer
  std::int64_t deadline_ns = 0;        ///< of since_boot_ns(), when the run should end; 0: not set
  std::int64_t booked_until_ns = 0;    ///< RunClock's last booking
  std::int64_t startup_ns = 0;         ///< of the first process, before training
  std::int64_t compile_ns = 0;         ///< while training waited
  std::int64_t hidden_compile_ns = 0;  ///< overlapped with steps in a pipeline; not part of the wall time
  std::int64_t weights_ns = 0;         ///< writing weights to kernels that take them as input
  std::int64_t train_ns = 0;           ///< steps and updates
  std::int64_t validation_ns = 0;
  std::int64_t sampling_ns = 0;
  std::int64_t checkpoint_ns = 0;
  std::int64_t exchange_ns = 0;      ///< waiting for other ranks and for what they send
  std::int64_t exchanged_bytes = 0;  ///< sent to other ranks in updates
  std::int64_t synchronized_ns = 0;  ///< monotonic clock when the ranks ended the last update together
  std::int64_t restart_ns = 0;  ///< from the last update of a process to the first compile of the next, and what the
                                ///< next process's first steps cost beyond others (count_first_steps)
  std::int64_t steps = 0;  ///< of this run, not counting those before a resume, including those dropped by an interrupt
  std::int64_t other_groups = 0, other_groups_ns = 0;  ///< concurrent groups of steps, except each process's first
  std::int64_t dropped_steps = 0;                      ///< of `steps`: those that no saved state contains
  std::int64_t compiles = 0;                           ///< of the run's processes
  std::int64_t worker_compiles = 0;                    ///< of other processes in their place
  std::int64_t compile_rounds = 0;                     ///< of training kernels
  std::int64_t forward_compile_rounds = 0;             ///< for a validation or sample that is not followed by training
  std::int64_t failed_compiles_in_row = 0;  ///< failed compile rounds; a second one in a fresh process is an error
  std::int64_t restarts = 0;
  std::int64_t updates = 0;  ///< of this run, including skipped ones
  std::int64_t skipped_updates = 0;
  std::uint64_t recent_skips = 0;  ///< bit i: the update i before the last one was skipped
  std::int64_t surfaces_created = 0, surfaces_reused = 0, surfaces_released = 0;
  std::int64_t peak_memory_bytes = 0;
  std::int64_t checkpointed_update = -1;  ///< of the last checkpoint; -1: none
  std::int64_t checkpointed_ns = 0;       ///< monotonic clock at the checkpoint's start
  std::int64_t failed_checkpoints_in_row = 0;
  std::int64_t ane_ns = 0, io_ns = 0, classifier_ns = 0, elementwise_ns = 0, rms_norm_ns = 0, blas_wait_ns = 0;
  BestValidation best_validation;
  LogState log;
};

/// Progress of training: everything that the next step depends on besides parameters and optimizer slots.
struct Progress {
  std::int64_t step = 0;               ///< completed sequences; always at a whole update between processes
  std::int64_t update = 0;             ///< updates including skipped ones
  std::int64_t optimizer_updates = 0;  ///< applied updates, for AdamW's bias correction
  double loss_scale = 1;
  std::int64_t good_updates = 0;  ///< since the scale last changed
  std::int64_t skipped_in_row = 0;
  double last_loss = 0;
  std::int64_t best_validation_step = 0;  ///< step of the lowest validation loss so far; 0: none
  double best_validation_loss = 0;
};

/// Staleness: delay between an update and the first batch that uses it.
enum class Staleness { none, one_update };

/// An array that an optimizer keeps beside the parameters.
struct StateSlot {
  std::string_view name;          ///< such as "first_moment"; with static storage duration
  model::ParameterLayout layout;  ///< of the parameters that have values in it
};
using StateSlots = std::vector<StateSlot>;

/// The training state: one mapping that survives exec. memfd on Linux, an unlinked shared mapping on macOS.
class StateArena {
 public:
  /// A fresh, zeroed state for `parameters` elements, their gradients and an array for each of the optimizer's
  /// `slots`. With staleness there is a second parameter array, used by the next batch. `fingerprint`
  /// identifies the model and settings that must agree across a restart. Throws DeviceError with the size if there is
  /// not enough memory, and UsageError if a limit of this process (ulimit) forbids it.
  StateArena(std::size_t parameters, StateSlots slots, std::uint64_t fingerprint,
             Staleness staleness = Staleness::none);
  /// Adopts the state of the previous process and takes ownership of `descriptor`. Throws UsageError if header, size or
  /// fingerprint do not match; the descriptor is then untouched, because it may belong to something else.
  StateArena(int descriptor, std::size_t parameters, StateSlots slots, std::uint64_t fingerprint,
             Staleness staleness = Staleness::none);
  StateArena(const StateArena&) = delete;
  StateArena& operator=(const StateArena&) = delete;

  [[nodiscard]] Progress& progress() noexcept;
  [[nodiscard]] RunTotals& totals() noexcept;
  [[nodiscard]] std::span<float> parameters() noexcept;
  /// The parameters for the next batch: parameters() itself unless there is staleness.
  [[nodiscard]] std::span<float> running_parameters() noexcept;
  [[nodiscard]] Staleness staleness() const noexcept { return staleness_; }
  [[nodiscard]] std::span<const StateSlot> slots() const noexcept { return slots_; }
  /// The array of slots()[index].
  [[nodiscard]] std::span<float> slot(std::size_t index) noexcept;
  /// Zero whenever no batch is in progress, so that a new process need not clear them.
  [[nodiscard]] std::span<float> gradients() noexcept;
  /// Backs a fresh state with huge pages if possible: processes that adopt it then map it faster, and so is every pass
  /// over it.
  void back_with_huge_pages(math::ThreadPool& threads);
  /// Whether another process created it.
  [[nodiscard]] bool adopted() const noexcept { return adopted_; }
  /// Descriptor for the restart; still owned by the arena.
  [[nodiscard]] int descriptor() const noexcept { return descriptor_.get(); }
  /// All of it.
  [[nodiscard]] std::span<std::byte> memory() noexcept { return mapping_.bytes(); }

 private:
  struct Header;
  void map();
  [[nodiscard]] Header& header() noexcept;
  /// Position of slots()[index] in the arena, in elements; that of the gradients if `index` is the number of slots.
  [[nodiscard]] std::size_t slot_offset(std::size_t index) const noexcept;
  [[nodiscard]] std::span<float> array(std::size_t offset, std::size_t size) noexcept;

  Descriptor descriptor_;
  std::size_t parameter_count_ = 0;
  StateSlots slots_;
  Staleness staleness_ = Staleness::none;
  std::size_t size_bytes_ = 0;
  bool adopted_ = false;
  MappedMemory mapping_;
};

}  // namespace ane::train
