#include "app/rank_programs.h"

#ifdef ANE_MPIRUN

#include <cstddef>
#include <string>

#include <fmt/format.h>

#include "ane/cli/text.h"

#include "app/small_run.h"

namespace cli_test {

namespace fs = std::filesystem;

Words launcher_variables(const fs::path& folder) {
  return {// Open MPI refuses root and more processes than cores without these.
          "OMPI_ALLOW_RUN_AS_ROOT=1",
          "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1",
          "OMPI_MCA_rmaps_base_oversubscribe=1",
          "PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe",  // since version 5
          "OMPI_MCA_btl_vader_single_copy_mechanism=none",
          "OMPI_MCA_hwloc_base_binding_policy=none",
          "OMPI_MCA_btl_vader_backing_directory=" + folder.string(),
          "OMPI_MCA_orte_tmpdir_base=" + folder.string(),
          "LSAN_OPTIONS=detect_leaks=0"};  // its own leaks are not ours
}

Words launched(int ranks, const Words& arguments) {
  return Words{"-np", std::to_string(ranks), ANE_TRAIN_PROGRAM} + arguments;
}

Words launched_apart(const std::vector<Words>& commands, const fs::path& folder) {
  std::string script = "case ${OMPI_COMM_WORLD_RANK-$PMI_RANK} in\n";
  for (std::size_t rank = 0; rank < commands.size(); ++rank) {
    script += fmt::format("{}) exec", rank);
    for (const std::string& word : commands[rank]) script += " " + ane::cli::shell_quoted(word);
    script += " ;;\n";
  }
  write_file(folder / "rank.sh", script + "esac\n");
  return {"-np", std::to_string(commands.size()), "/bin/sh", folder / "rank.sh"};
}

Result run_ranks(int ranks, const Words& arguments, const Words& environment, const fs::path& folder) {
  return run(launched(ranks, arguments), launcher_variables(folder) + environment, folder, ANE_MPIRUN);
}

std::vector<pid_t> processes_in(const fs::path& folder, RankRole role) {
  std::vector<pid_t> found = processes_in(folder);
  std::erase_if(found, [role](pid_t process) {
    const bool is_trainer = is_ane_train(parent_of(process));
    return is_trainer != (role == RankRole::trainer);
  });
  return found;
}

}  // namespace cli_test

#endif
