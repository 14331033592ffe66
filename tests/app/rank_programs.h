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
[[nodiscard]] Result run_ranks(int ranks, const Words& arguments, const Words& environment,
                               const std::filesystem::path& folder);

/// The processes of ane-train that run in `folder` in this role.
[[nodiscard]] std::vector<pid_t> processes_in(const std::filesystem::path& folder, RankRole role);

}  // namespace cli_test

#endif
