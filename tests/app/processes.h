#pragma once

#include <filesystem>
#include <functional>
#include <vector>

#include <sys/types.h>

/// Looks for the processes of ane-train that a test has started.
namespace cli_test {

/// Those that run in `folder`.
[[nodiscard]] std::vector<pid_t> processes_in(const std::filesystem::path& folder);
/// Those that `parent` has started and that have not ended.
[[nodiscard]] std::vector<pid_t> children_of(pid_t parent);
/// 0 if there is no such process.
[[nodiscard]] pid_t parent_of(pid_t process);
[[nodiscard]] bool is_ane_train(pid_t process);
[[nodiscard]] bool are_gone(const std::vector<pid_t>& processes);

/// Asks again and again for half a minute.
[[nodiscard]] bool wait_until(const std::function<bool()>& condition);

}  // namespace cli_test
