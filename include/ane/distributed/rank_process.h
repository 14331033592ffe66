#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ane/core/descriptor.h"

/// A run on several machines. The process that mpirun starts is the *rank process*. It forks the *trainer* before it
/// initializes MPI, because a process that has initialized MPI cannot re-execute itself and initialize it again. The
/// trainer asks the rank process for sums and exchanges over a socket; the arrays lie in the state's memory, which both
/// map. When the trainer re-executes itself, its rank process does not notice.
///
///     mpirun -> rank process 0 <-MPI-> rank process 1 ...
///                    | socket, shared state    |
///                 trainer 0                 trainer 1
///
/// If a trainer fails or is killed, its rank process prints why and aborts the MPI job, which ends all rank processes.
/// A trainer ends when its rank process does. The trainer leads a process group of its own, so signals from the
/// terminal reach it only through its rank process.
namespace ane::distributed {

/// The number of ranks of the MPI job that this process belongs to; 1 if there is none.
[[nodiscard]] int launched_ranks();
/// Its index among them, before MPI is initialized.
[[nodiscard]] int launched_rank();

/// For an error before the rank process forks, in any rank but the first. All ranks usually fail in the same way, so
/// this gives the first one a few seconds to report it, after which the launcher ends this process. Returns if the
/// first rank did not fail.
void let_first_rank_report();

/// `environment` without the launcher's variables, for the processes that a trainer becomes.
[[nodiscard]] std::vector<std::string> without_launcher(std::span<const std::string> environment);

/// Whether this program was built with MPI.
[[nodiscard]] bool has_mpi() noexcept;

struct Forked {
  Descriptor link;                 ///< in the trainer: the socket for RankLink
  std::optional<int> exit_code{};  ///< in the rank process, after the run has ended everywhere
};

/// Returns in the trainer at once, and in the rank process when the run has ended. Must be called before the process
/// has further threads. Throws UsageError if the program was built without MPI, and DeviceError if the process cannot
/// be forked.
[[nodiscard]] Forked fork_trainer();

}  // namespace ane::distributed
