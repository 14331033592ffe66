#include "ane/core/machine.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <sys/resource.h>
#include <unistd.h>

#ifdef __APPLE__
#include <mach/mach.h>
#include <sys/sysctl.h>
#else
#include <sched.h>
#endif

namespace ane {
namespace {

namespace fs = std::filesystem;

/// Removes and returns the next line of a text.
std::string_view take_line(std::string_view& text) {
  const std::string_view line = text.substr(0, text.find('\n'));
  text.remove_prefix(std::min(line.size() + 1, text.size()));
  return line;
}

}  // namespace

std::optional<std::uint64_t> leading_number(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() ? std::optional(number) : std::nullopt;
}

std::optional<std::uint64_t> field_bytes(std::string_view text, std::string_view field) {
  constexpr std::uint64_t kKilo = 1024;
  while (!text.empty()) {
    std::string_view line = take_line(text);
    if (!line.starts_with(field)) continue;
    line.remove_prefix(field.size());
    const std::size_t begin = line.find_first_not_of(": \t");
    if (begin == 0 || begin == std::string_view::npos) continue;  // another field with the same prefix
    line.remove_prefix(begin);
    const std::optional<std::uint64_t> number = leading_number(line);
    if (!number || !line.ends_with(" kB")) return number;
    return *number > std::numeric_limits<std::uint64_t>::max() / kKilo ? std::nullopt : std::optional(*number * kKilo);
  }
  return std::nullopt;
}

std::vector<ControlGroup> control_groups(std::string_view proc_self_cgroup, std::string_view controller) {
  std::vector<ControlGroup> groups;
  while (!proc_self_cgroup.empty()) {  // "hierarchy:controllers,separated:path"; version 2 names no controllers
    const std::string_view line = take_line(proc_self_cgroup);
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    std::string_view controllers = line.substr(first + 1, second - first - 1);
    const std::string path(line.substr(second + 1));
    if (controllers.empty()) {
      groups.push_back({2, path});
      continue;
    }
    while (!controllers.empty()) {
      const std::string_view name = controllers.substr(0, controllers.find(','));
      controllers.remove_prefix(std::min(name.size() + 1, controllers.size()));
      if (name == controller) groups.push_back({1, path});
    }
  }
  return groups;
}

#ifdef __APPLE__

std::optional<AvailableMemory> available_memory(const fs::path& /*root*/) {
  std::uint64_t installed = 0;
  std::size_t size = sizeof installed;
  if (::sysctlbyname("hw.memsize", &installed, &size, nullptr, 0) != 0) return std::nullopt;
  vm_statistics64_data_t statistics{};
  mach_msg_type_number_t count = HOST_VM_INFO64_COUNT;
  const mach_port_t host = ::mach_host_self();
  const bool known =
      ::host_statistics64(host, HOST_VM_INFO64, reinterpret_cast<host_info64_t>(&statistics), &count) == KERN_SUCCESS;
  ::mach_port_deallocate(::mach_task_self(), host);
  const std::uint64_t wired =
      known ? std::uint64_t{statistics.wire_count} * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)) : 0;
  return AvailableMemory{installed - std::min(wired, installed), "memory of this machine"};
}

int usable_processors(const fs::path& /*root*/) {
  return static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
}

#else

namespace {

/// Reads a file below /proc or /sys, which have no size; empty if it cannot be read.
std::string text_of(const fs::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// The directories of the control groups of `controller` and of their parents, which limit them too. A container sees
/// its own group as the root, whatever path the system reports.
std::vector<std::pair<int, fs::path> > group_folders(const fs::path& root, const std::string& controller) {
  std::vector<std::pair<int, fs::path> > folders;
  const fs::path mounts = root / "sys/fs/cgroup";
  for (const ControlGroup& group : control_groups(text_of(root / "proc/self/cgroup"), controller)) {
    const fs::path top = group.version == 2 ? mounts : mounts / controller;
    fs::path below = fs::path(group.path).relative_path();
    for (; !below.empty(); below = below.parent_path()) folders.emplace_back(group.version, top / below);
    folders.emplace_back(group.version, top);
  }
  return folders;
}

std::optional<std::uint64_t> group_memory(int version, const fs::path& folder) {
  const bool second = version == 2;
  const auto limit = leading_number(text_of(folder / (second ? "memory.max" : "memory.limit_in_bytes")));
  const auto used = leading_number(text_of(folder / (second ? "memory.current" : "memory.usage_in_bytes")));
  if (!limit || !used) return std::nullopt;
  const std::uint64_t cache =
      field_bytes(text_of(folder / "memory.stat"), second ? "inactive_file" : "total_inactive_file").value_or(0);
  const std::uint64_t taken = *used - std::min(cache, *used);
  return *limit - std::min(taken, *limit);
}

/// Address space that the limit leaves to this process.
std::optional<std::uint64_t> address_room(const fs::path& root) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return std::nullopt;
  const auto pages = leading_number(text_of(root / "proc/self/statm"));
  if (!pages) return std::nullopt;
  const std::uint64_t taken = *pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return limit.rlim_cur - std::min<std::uint64_t>(taken, limit.rlim_cur);
}

/// Whole processors of a quota, which consists of a time and a period.
std::optional<int> group_processors(int version, const fs::path& folder) {
  std::string quota;
  std::string period;
  if (version == 2) {
    std::istringstream(text_of(folder / "cpu.max")) >> quota >> period;
  } else {
    quota = text_of(folder / "cpu.cfs_quota_us");
    period = text_of(folder / "cpu.cfs_period_us");
  }
  const auto time = leading_number(quota);  // "max" or -1: none
  const auto of = leading_number(period);
  if (!time || !of || *of == 0) return std::nullopt;
  return static_cast<int>(std::clamp<std::uint64_t>(*time / *of, 1, std::numeric_limits<int>::max()));
}

/// nullopt if the set has more than a thousand processors.
std::optional<int> scheduled_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return std::nullopt;
  return CPU_COUNT(&set);
}

}  // namespace

std::optional<AvailableMemory> available_memory(const fs::path& root) {
  std::optional<AvailableMemory> least;
  const auto consider = [&](std::optional<std::uint64_t> bytes, const char* limit) {
    if (bytes && (!least || *bytes < least->bytes)) least = {*bytes, limit};
  };
  const std::string meminfo = text_of(root / "proc/meminfo");
  if (const auto memory = field_bytes(meminfo, "MemAvailable"))
    consider(*memory + field_bytes(meminfo, "SwapFree").value_or(0), "memory and swap of this machine");
  for (const auto& [version, folder] : group_folders(root, "memory"))
    consider(group_memory(version, folder), "memory limit of the control group");
  consider(address_room(root), "limit on address space, ulimit -v");
  return least;
}

int usable_processors(const fs::path& root) {
  const auto online = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  int least = scheduled_processors().value_or(online);
  for (const auto& [version, folder] : group_folders(root, "cpu"))
    least = std::min(least, group_processors(version, folder).value_or(least));
  return std::max(1, least);
}

#endif

}  // namespace ane
