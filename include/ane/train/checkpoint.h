#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ane/data/source.h"
#include "ane/model/companions.h"
#include "ane/model/config.h"
#include "ane/model/model.h"
#include "ane/train/options.h"
#include "ane/train/state.h"
#include "ane/train/whole_slots.h"

/// A checkpoint is a directory step-00000120. It is a Hugging Face model directory (config.json, model.safetensors, and
/// the tokenizer of the model that the run started from) with a further safetensors file for each optimizer slot (and,
/// with staleness, for the running parameters) and trainer.json, which contains progress, settings, model, data, size
/// and checksum of every file, and a self-checksum. It is written to a temporary directory, synced and renamed, so it
/// is either complete or absent; no file points to the newest one. Damage anywhere in it is detected before anything is
/// used. If an adapter is trained, the checkpoint is an adapter directory as PEFT writes it (adapter_config.json,
/// adapter_model.safetensors) instead of a model directory.
namespace ane::train {

/// The file of a checkpoint that contains the parameters, from which another run can start.
inline constexpr const char* kModelFile = "model.safetensors";

struct CheckpointIdentity {
  model::ModelConfig model;
  std::string data;         ///< Source::identity
  SettingTexts settings{};  ///< for the record; those of a resumed run may differ
  /// Copied into the checkpoint, not compared; may be null.
  std::shared_ptr<const model::Companions> companions{};
  FineTuning fine_tuning{};
};

[[nodiscard]] CheckpointIdentity identity_of(const model::Model& model, const data::Source& source);

/// The state of a run except for the arrays.
struct TrainerRecord {
  Progress progress;
  RunTotals totals;
};

/// Writes directory/step-00000120 from the arrays of `state` and `record`, and returns its path. `copied` is called
/// when the state may change again; only disk operations follow. An existing undamaged checkpoint of this step is kept.
/// Throws FileError, also if the disk has too little space; other checkpoints are never harmed. Leftovers of dead
/// processes in `directory` are removed, so no other process may write there. `whole_slots` is needed if `state` has
/// only this rank's part of the optimizer's slots, here and for loading.
std::filesystem::path write_checkpoint(const std::filesystem::path& directory, const model::ParameterLayout& layout,
                                       StateArena& state, const TrainerRecord& record,
                                       const CheckpointIdentity& identity, const std::function<void()>& copied = {},
                                       WholeSlots* whole_slots = nullptr);
/// The same with the record of `state`.
std::filesystem::path write_checkpoint(const std::filesystem::path& directory, const model::ParameterLayout& layout,
                                       StateArena& state, const CheckpointIdentity& identity,
                                       WholeSlots* whole_slots = nullptr);

/// Directories with names of checkpoints, newest first, possibly damaged. Throws FileError if `directory` cannot be
/// read.
[[nodiscard]] std::vector<std::filesystem::path> checkpoints_in(const std::filesystem::path& directory);

/// Whether `name` is a name that the program uses in checkpoint directories: step-00000120, .lock, ...
[[nodiscard]] bool is_reserved_name(std::string_view name);

/// The checkpoints that stay in a directory.
struct Retention {
  std::int64_t newest = 0;  ///< how many of the newest ones
  bool best = false;        ///< the one of the lowest validation loss, according to the record of any that is there
};

/// Removes the other checkpoints in `directory` with an undamaged trainer.json and files of the correct sizes. Damaged
/// checkpoints are neither counted nor removed, and foreign files stay. Throws FileError if one cannot be removed.
void remove_old_checkpoints(const std::filesystem::path& directory, const Retention& retention);

/// Identity of the newest checkpoint in `directory` with an undamaged trainer.json, without checking its arrays;
/// nullopt if there is none. Throws FileError if `directory` cannot be read.
[[nodiscard]] std::optional<CheckpointIdentity> recorded_identity(const std::filesystem::path& directory);

/// The model config of a weight file in a checkpoint, read from the trainer.json next to it; nullopt if that cannot be
/// read.
[[nodiscard]] std::optional<model::ModelConfig> recorded_model_of(const std::filesystem::path& file);

/// Fills `state` from `checkpoint` after verifying all of it, and returns the checkpoint's settings. Throws FileError
/// if it is damaged; UsageError if its model, data or format version differ, naming the difference. After an exception
/// the arrays are unspecified.
SettingTexts load_checkpoint(const std::filesystem::path& checkpoint, const model::ParameterLayout& layout,
                             StateArena& state, const CheckpointIdentity& identity, WholeSlots* whole_slots = nullptr);

struct LoadedCheckpoint {
  std::filesystem::path path;
  SettingTexts settings;              ///< of the checkpoint
  std::vector<std::string> unusable;  ///< problems of the newer ones
};

/// Loads the newest undamaged checkpoint in `directory`. Damaged ones are renamed to damaged-step-..., so that they are
/// not tried again, and leftovers of dead processes are removed. Throws FileError naming every problem if none is left;
/// otherwise like load_checkpoint().
LoadedCheckpoint load_newest_checkpoint(const std::filesystem::path& directory, const model::ParameterLayout& layout,
                                        StateArena& state, const CheckpointIdentity& identity,
                                        WholeSlots* whole_slots = nullptr);

}  // namespace ane::train
