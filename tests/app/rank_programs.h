#pragma once

#ifdef ANE_MPIRUN

#include <filesystem>
#include <vector>

#include <sys/types.h>

#include "app/processes.h"
#include "app/program.h"

/// Runs ane-train on several ranks.
namespace cli_test {

enum class RankRole { rank_process, trainer };

/// What `mpirun` needs in the test environment. Its files are in `folder`, because a killed one leaves them behind.
[[nodiscard]] Words launcher_variables(const std::filesystem::path& folder);
[[nodiscard]] Words launched(int ranks, const Words& arguments);
/// Each rank runs a command of its own. A script in `folder` chooses it, because the mpirun of Debian 13 crashes if it
/// is given several programs, separated by ":".
[[nodiscard]] Words launched_apart(const std::vector<Words>& commands, const std::filesystem::path& folder);
[[nodiscard]] Result run_ranks(int ranks, const Words& arguments, const Words& environment,
                               const std::filesystem::path& folder);

/// The processes of ane-train that run in `folder` in this role.
[[nodiscard]] std::vector<pid_t> processes_in(const std::filesystem::path& folder, RankRole role);

}  // namespace cli_test

#endif
