#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ane/data/source.h"
#include "ane/model/model.h"
#include "ane/train/options.h"
#include "ane/train/state.h"

/// A checkpoint is a directory step-00000120: a safetensors file for each array of the state (model, first_moment,
/// second_moment; with a delay also running) and trainer.json, which has progress, settings, what was trained on what,
/// size and checksum of every file, and a seal over itself. It is written aside, synced and renamed, so it is there
/// whole or not at all; there is no file that points to the newest. Damage anywhere in it is found before anything is
/// used.
namespace ane::train {

/// The file of a checkpoint that has the parameters, which another run may start from.
inline constexpr const char* kModelFile = "model.safetensors";

struct CheckpointIdentity {
  std::string model;        ///< dimensions line
  std::string data;         ///< Source::identity
  SettingTexts settings{};  ///< recorded; those of a resumed run may differ
};

[[nodiscard]] CheckpointIdentity identity_of(const model::Model& model, const data::Source& source);

/// Where a run stands, apart from the arrays.
struct TrainerRecord {
  Progress progress;
  RunTotals totals;
};

/// Writes directory/step-00000120 from the arrays of `state` and `record`, and returns its path. `copied` is called
/// when the state may change again: what follows is the disk's part. One of this step that is there and undamaged is
/// left as it is. Throws FileError, also if the disk has too little room; no other checkpoint is ever harmed. What a
/// process that died left in `directory` is removed, so there must be no other that writes there.
std::filesystem::path write_checkpoint(const std::filesystem::path& directory, const model::ParameterLayout& layout,
                                       StateArena& state, const TrainerRecord& record,
                                       const CheckpointIdentity& identity, const std::function<void()>& copied = {});
/// Of where `state` stands.
std::filesystem::path write_checkpoint(const std::filesystem::path& directory, const model::ParameterLayout& layout,
                                       StateArena& state, const CheckpointIdentity& identity);

/// Directories named like checkpoints, the newest first, in whatever condition. Throws FileError if `directory` cannot
/// be read.
[[nodiscard]] std::vector<std::filesystem::path> checkpoints_in(const std::filesystem::path& directory);

/// Whether `name` is one that the program gives to what it makes in a checkpoint directory: step-00000120, .lock, ...
[[nodiscard]] bool is_reserved_name(std::string_view name);

/// Removes all but the newest `keep` of those in `directory` whose trainer.json is undamaged and whose files have their
/// sizes; what is damaged neither counts nor goes, and neither do files that no checkpoint has. Throws FileError if one
/// cannot be removed.
void remove_old_checkpoints(const std::filesystem::path& directory, std::int64_t keep);

/// Settings that the newest checkpoint in `directory` whose trainer.json is undamaged was written with; its arrays are
/// not looked at. Nothing if there is none. Throws FileError if `directory` cannot be read.
[[nodiscard]] std::optional<SettingTexts> recorded_settings(const std::filesystem::path& directory);

/// Fills `state` from `checkpoint` after verifying all of it, and returns the settings it was written with. Throws
/// FileError if it is damaged; UsageError if it is of another model, other data or another version of the format,
/// naming the difference. The arrays are then unspecified.
SettingTexts load_checkpoint(const std::filesystem::path& checkpoint, const model::ParameterLayout& layout,
                             StateArena& state, const CheckpointIdentity& identity);

struct LoadedCheckpoint {
  std::filesystem::path path;
  SettingTexts settings;              ///< that it was written with
  std::vector<std::string> unusable;  ///< what is wrong with the newer ones
};

/// Loads the newest checkpoint in `directory` that can be read and is undamaged. Damaged ones are renamed to
/// damaged-step-..., so that they are not met again, and what a process that died left is removed. Throws FileError,
/// naming every fault, if none is left; otherwise as load_checkpoint().
LoadedCheckpoint load_newest_checkpoint(const std::filesystem::path& directory, const model::ParameterLayout& layout,
                                        StateArena& state, const CheckpointIdentity& identity);

}  // namespace ane::train
