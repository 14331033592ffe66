#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// The names that the program uses in a checkpoint directory, which may also contain the user's files. Only complete
/// matches of these names are ever renamed or removed.
namespace ane::train {

/// step-00000120
[[nodiscard]] std::string checkpoint_name(std::int64_t step);
/// Inverse of checkpoint_name(); nullopt for other names.
[[nodiscard]] std::optional<std::int64_t> step_of(std::string_view name);

inline constexpr std::string_view kPartialPrefix = ".partial-";  ///< of a checkpoint that is being written
inline constexpr std::string_view kOldPrefix = ".old-";          ///< of a checkpoint that is being removed
inline constexpr std::string_view kDamagedPrefix = "damaged-";   ///< of a damaged checkpoint
/// Whether `name` is `prefix` followed by the name of a checkpoint.
[[nodiscard]] bool is_checkpoint_with(std::string_view prefix, std::string_view name);

/// The files of a checkpoint, besides kModelFile.
inline constexpr const char* kTrainerFile = "trainer.json";
inline constexpr const char* kRunningFile = "running.safetensors";
/// The file of an optimizer slot: first_moment.safetensors.
[[nodiscard]] std::string slot_file(std::string_view slot);
/// The name of the final file if `name` is that of its temporary file (NAME.tmp-...), else `name`.
[[nodiscard]] std::string_view final_name(std::string_view name);
/// Whether `name` is that of a file that every checkpoint may have, or of its temporary file. A checkpoint also has
/// the model's companion files (ane/model/companions.h), which its trainer.json lists.
[[nodiscard]] bool is_checkpoint_file(std::string_view name);

/// Lock file of a checkpoint directory (RunLock).
inline constexpr const char* kLockFile = ".lock";

}  // namespace ane::train
