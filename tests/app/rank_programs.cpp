#include "app/rank_programs.h"

#ifdef ANE_MPIRUN

#include <string>
#include <system_error>

#include <unistd.h>

#include "app/small_run.h"

namespace cli_test {

namespace {

namespace fs = std::filesystem;

bool is_ane_train(const fs::path& process) {
  std::error_code ignored;
  return fs::read_symlink(process / "exe", ignored).filename().string().starts_with("ane-train");
}

/// The state "(T)", the parent's ID and so on follow the name in a process's status.
pid_t parent_of(const fs::path& process) {
  const std::string status = read_file(process / "stat");
  const std::size_t end = status.rfind(')');
  return end == std::string::npos ? 0 : std::stoi(status.substr(end + 4));
}

}  // namespace

Words launcher_variables(const fs::path& folder) {
  return {// Open MPI refuses root and more processes than cores without these.
          "OMPI_ALLOW_RUN_AS_ROOT=1",
          "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1",
          "OMPI_MCA_rmaps_base_oversubscribe=1",
          "OMPI_MCA_btl_vader_single_copy_mechanism=none",
          "OMPI_MCA_hwloc_base_binding_policy=none",
          "OMPI_MCA_btl_vader_backing_directory=" + folder.string(),
          "OMPI_MCA_orte_tmpdir_base=" + folder.string(),
          "LSAN_OPTIONS=detect_leaks=0"};  // its own leaks are not ours
}

Words launched(int ranks, const Words& arguments) {
  return Words{"-np", std::to_string(ranks), ANE_TRAIN_PROGRAM} + arguments;
}

Result run_ranks(int ranks, const Words& arguments, const Words& environment, const fs::path& folder) {
  return run(launched(ranks, arguments), launcher_variables(folder) + environment, folder, ANE_MPIRUN);
}

std::vector<pid_t> processes_in(const fs::path& folder) {
  std::vector<pid_t> found;
  std::error_code ignored;
  for (fs::directory_iterator entry("/proc", ignored); entry != fs::directory_iterator(); entry.increment(ignored)) {
    const std::string name = entry->path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos || !is_ane_train(entry->path())) continue;
    if (fs::read_symlink(entry->path() / "cwd", ignored) == fs::canonical(folder)) found.push_back(std::stoi(name));
  }
  return found;
}

std::vector<pid_t> processes_in(const fs::path& folder, RankRole role) {
  std::vector<pid_t> found = processes_in(folder);
  std::erase_if(found, [role](pid_t process) {
    const fs::path proc = "/proc";
    const bool is_trainer = is_ane_train(proc / std::to_string(parent_of(proc / std::to_string(process))));
    return is_trainer != (role == RankRole::trainer);
  });
  return found;
}

bool wait_until(const std::function<bool()>& condition) {
  for (int i = 0; i < 600; ++i) {
    if (condition()) return true;
    ::usleep(50'000);
  }
  return false;
}

}  // namespace cli_test

#endif
