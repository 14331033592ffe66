#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Memory and processors that this process may use, within the limits of the system and of containers.
namespace ane {

struct AvailableMemory {
  std::uint64_t bytes = 0;
  std::string limit;  ///< its origin: "memory and swap of this machine"
};

/// Memory that this process may still allocate before the system refuses or kills a process; nullopt if unknown. On
/// Linux this is the minimum of available memory plus free swap, the limits of its control groups (whose file cache
/// counts as free), and its address space limit; on macOS, all memory that is not wired. System files are looked up
/// below `root`.
[[nodiscard]] std::optional<AvailableMemory> available_memory(const std::filesystem::path& root = "/");

/// Number of processors that this process may use at once, at least 1: its CPU affinity, limited by the quota of its
/// control groups, rounded down so that threads that wait for each other are not throttled.
[[nodiscard]] int usable_processors(const std::filesystem::path& root = "/");

/// The value of `field` in text like that of /proc/meminfo ("MemAvailable:  123 kB", in bytes) or of a control group's
/// memory.stat ("inactive_file 123").
[[nodiscard]] std::optional<std::uint64_t> field_bytes(std::string_view text, std::string_view field);

/// The first number in a control group's file; nullopt for "max" and anything that is not a number.
[[nodiscard]] std::optional<std::uint64_t> leading_number(std::string_view text);

/// A control group of this process and its version.
struct ControlGroup {
  int version = 2;
  std::string path;  ///< "/user.slice/x"
  friend bool operator==(const ControlGroup&, const ControlGroup&) = default;
};
/// The groups of `controller` ("memory", "cpu") from the text of /proc/self/cgroup; there may be one per version.
[[nodiscard]] std::vector<ControlGroup> control_groups(std::string_view proc_self_cgroup, std::string_view controller);

}  // namespace ane
