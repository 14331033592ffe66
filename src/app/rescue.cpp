#include "ane/app/rescue.h"

#include <cerrno>
#include <exception>
#include <memory>
#include <optional>

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ane/cli/resume_command.h"
#include "ane/core/error.h"
#include "ane/core/file.h"
#include "ane/train/checkpoint.h"
#include "ane/train/clock.h"

namespace ane::app {
namespace {

namespace fs = std::filesystem;

const char* const kDirectoryName = "ane-train-checkpoint";
constexpr int kMostDirectories = 10000;

/// Creates a new directory in the current one.
fs::path make_rescue_directory_here() {
  fs::path directory = kDirectoryName;
  for (int i = 2; ::mkdir(directory.c_str(), S_IRWXU | S_IRWXG | S_IRWXO) != 0; ++i) {
    if (errno != EEXIST || i > kMostDirectories)
      throw FileError(
          fmt::format("{}: the directory could not be created: {}", directory.string(), system_message(errno)));
    directory = fmt::format("{}-{}", kDirectoryName, i);
  }
  return directory;
}

fs::path make_temporary_rescue_directory() { return make_temporary_directory(kDirectoryName); }

}  // namespace

fs::path Rescue::save() {
  if (run_.ranks != nullptr && !run_.ranks->is_first()) {
    run_.ranks->serve_checkpoint();
    return {};
  }
  const std::unique_ptr<train::WholeSlots> whole_slots = run_.ranks == nullptr ? nullptr : run_.ranks->whole_slots();
  const std::optional<fs::path>& directory = run_.options.checkpoint_dir;
  if (!directory) return save_in_new_directory(whole_slots.get());
  if (run_.state.totals().checkpointed_update == run_.state.progress().update) return *directory;
  if (run_.checkpoint_lock != nullptr) run_.checkpoint_lock->keep();
  save_in(*directory, whole_slots.get());
  return *directory;
}

std::string Rescue::save_and_describe() try {
  if (run_.state.progress().update == 0) return "There was no progress to save.";
  return fmt::format("Progress saved at step {}; resume with:\n  {}", run_.state.progress().step, resume_text(save()));
} catch (const std::exception& error) {
  return fmt::format("The progress could not be saved: {}", error.what());
}

std::string Rescue::describe_earlier() const try {
  const std::optional<fs::path>& directory = run_.options.checkpoint_dir;
  const std::vector<fs::path> checkpoints = directory ? train::checkpoints_in(*directory) : std::vector<fs::path>();
  if (checkpoints.empty()) return "The current state is unusable and was not saved; there is no earlier checkpoint.";
  const train::Progress& progress = run_.state.progress();
  const bool has_this_state = run_.state.totals().checkpointed_update >= progress.update - progress.skipped_in_row;
  return fmt::format(
      "The current state is unusable and was not saved. {} is the newest checkpoint{}; resume with:\n  {}",
      checkpoints.front().string(), has_this_state ? ", but has the same parameters: move it away" : "",
      resume_text(*directory));
} catch (const FileError& error) {
  return fmt::format("The current state is unusable and was not saved: {}", error.what());
}

std::string Rescue::resume_text(const fs::path& directory) const {
  const std::string command = cli::resume_command(run_.invocation.arguments, run_.invocation.environment, directory);
  return run_.ranks == nullptr ? command : fmt::format("mpirun -np {} {}", run_.ranks->size(), command);
}

fs::path Rescue::save_in_new_directory(train::WholeSlots* whole_slots) {
  std::string failure;
  for (const auto make_directory : {make_rescue_directory_here, make_temporary_rescue_directory}) {
    fs::path directory;
    try {
      directory = make_directory();
      save_in(directory, whole_slots);
      if (!failure.empty()) run_.terminal.warn(fmt::format("{}; the checkpoint is in {}", failure, directory.string()));
      return directory;
    } catch (const FileError& error) {
      if (!directory.empty()) ::rmdir(directory.c_str());
      failure += fmt::format("{}{}", failure.empty() ? "" : "\n", error.what());
    }
  }
  throw FileError(failure);
}

void Rescue::save_in(const fs::path& directory, train::WholeSlots* whole_slots) {
  const train::Progress& progress = run_.state.progress();
  train::CheckpointEvent event{.step = progress.step, .update = progress.update, .begin_ns = train::monotonic_ns()};
  const train::CheckpointIdentity identity{.model = run_.model.config(),
                                           .data = run_.data_identity,
                                           .settings = run_.options.settings,
                                           .companions = run_.options.companions,
                                           .fine_tuning = run_.options.fine_tuning};
  event.path = train::write_checkpoint(directory, run_.model.parameters(), run_.state, identity, whole_slots);
  event.time = train::Duration(train::monotonic_ns() - event.begin_ns);
  for (train::Observer* observer : run_.observers) observer->on_checkpoint(event);
}

}  // namespace ane::app
