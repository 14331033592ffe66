#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "ane/app/invocation.h"
#include "ane/cli/terminal.h"
#include "ane/model/model.h"
#include "ane/train/observer.h"
#include "ane/train/options.h"
#include "ane/train/ranks.h"
#include "ane/train/run_lock.h"
#include "ane/train/state.h"

namespace ane::app {

/// Saves a run that ends before its last step, and says how to resume it.
class Rescue {
 public:
  /// The referenced objects must outlive the Rescue.
  struct Run {
    const model::Model& model;
    train::StateArena& state;
    const train::TrainOptions& options;
    const std::string& data_identity;
    train::RunLock* checkpoint_lock;  ///< may be null
    const std::vector<train::Observer*>& observers;
    cli::Terminal& terminal;
    const Invocation& invocation;
    train::Ranks* ranks;  ///< null for a run in a single process
  };
  explicit Rescue(const Run& run) : run_(run) {}

  /// Writes a checkpoint of the current state unless there is one, and returns its directory. Without --checkpoint-dir,
  /// the checkpoint goes into a new directory in the current directory or, if that is not writable, in the directory
  /// for temporary files. On several ranks, all must call it, and the first one writes.
  std::filesystem::path save();
  /// Like save(), for a run that cannot continue. Describes where the checkpoint is, or why there is none. Throws only
  /// if there is not even enough memory for the message.
  std::string save_and_describe();
  /// Describes the newest checkpoint, for when the current state is unusable.
  [[nodiscard]] std::string describe_earlier() const;
  /// The command that resumes from a checkpoint in `directory`.
  [[nodiscard]] std::string resume_text(const std::filesystem::path& directory) const;

 private:
  std::filesystem::path save_in_new_directory(train::WholeSlots* whole_slots);
  void save_in(const std::filesystem::path& directory, train::WholeSlots* whole_slots);

  Run run_;
};

}  // namespace ane::app
