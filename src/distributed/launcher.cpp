#include "launcher.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <string_view>

#include "ane/distributed/rank_process.h"

namespace ane::distributed {

namespace {

/// The variables in which launchers tell a process its place: Open MPI, then MPICH's Hydra and Slurm.
constexpr std::array kSizeVariables = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"};
constexpr std::array kRankVariables = {"OMPI_COMM_WORLD_RANK", "PMI_RANK"};

template <class Names>
int number_in(const Names& names, int otherwise) {
  for (const char* name : names) {
    const char* const value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): there are no other threads yet
    if (value == nullptr) continue;
    const std::string_view text(value);
    int number = 0;
    if (std::from_chars(text.data(), text.data() + text.size(), number).ptr == text.data() + text.size()) return number;
  }
  return otherwise;
}

}  // namespace

std::vector<std::string> without_launcher(std::span<const std::string> environment) {
  std::vector<std::string> result(environment.begin(), environment.end());
  for (const auto& names : {kSizeVariables, kRankVariables})
    for (const std::string_view name : names)
      std::erase_if(result, [&](const std::string& entry) {
        return entry.starts_with(name) && entry.substr(name.size()).starts_with('=');
      });
  return result;
}

void forget_launcher() {
  for (const auto& names : {kSizeVariables, kRankVariables})
    for (const char* name : names) ::unsetenv(name);  // NOLINT(concurrency-mt-unsafe): there are no other threads yet
}

int launched_ranks() { return std::max(number_in(kSizeVariables, 1), 1); }
int launched_rank() { return std::max(number_in(kRankVariables, 0), 0); }

}  // namespace ane::distributed
