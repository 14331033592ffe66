#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// How much of the machine this process may use: what the system has left, and what a container or a limit leaves of
/// it.
namespace ane {

struct AvailableMemory {
  std::uint64_t bytes = 0;
  std::string limit;  ///< what sets it: "memory and swap of this machine"
};

/// What this process may still take before the system refuses it or ends a process; nothing if that is not known. On
/// Linux the least of available memory with free swap, the limits of the control groups that it is in (their
/// file cache counts as free), and its limit on addresses; on macOS what is not wired down. The files are
/// sought below `root`.
[[nodiscard]] std::optional<AvailableMemory> available_memory(const std::filesystem::path& root = "/");

/// Processors that this process may use at once, at least 1: those that it may be scheduled on, and no more than
/// the quota of its control groups, rounded down, so that threads that wait for each other are not throttled.
[[nodiscard]] int usable_processors(const std::filesystem::path& root = "/");

/// The value of `field` in text like that of /proc/meminfo ("MemAvailable:  123 kB", in bytes) or of a control group's
/// memory.stat ("inactive_file 123").
[[nodiscard]] std::optional<std::uint64_t> field_bytes(std::string_view text, std::string_view field);

/// The number in a control group's file, which may be followed by others; nothing for "max" and what is none.
[[nodiscard]] std::optional<std::uint64_t> leading_number(std::string_view text);

/// A control group of this process, and which version's files are in it.
struct ControlGroup {
  int version = 2;
  std::string path;  ///< "/user.slice/x"
  friend bool operator==(const ControlGroup&, const ControlGroup&) = default;
};
/// The group that limits what `controller` ("memory", "cpu") counts, from the text of /proc/self/cgroup; there may be
/// one of each version.
[[nodiscard]] std::vector<ControlGroup> control_groups(std::string_view proc_self_cgroup, std::string_view controller);

}  // namespace ane
