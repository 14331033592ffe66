#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// What the program calls the things in a checkpoint directory, which may be one where people keep files of their own.
/// Only what has one of these names, digit by digit, is ever renamed or removed.
namespace ane::train {

/// step-00000120
[[nodiscard]] std::string checkpoint_name(std::int64_t step);
/// The step of a name that checkpoint_name() makes.
[[nodiscard]] std::optional<std::int64_t> step_of(std::string_view name);

inline constexpr std::string_view kPartialPrefix = ".partial-";  ///< of one that is being written
inline constexpr std::string_view kOldPrefix = ".old-";          ///< of one that is being removed
inline constexpr std::string_view kDamagedPrefix = "damaged-";   ///< of one that was set aside
/// Whether `name` is `prefix` and the name of a checkpoint.
[[nodiscard]] bool is_checkpoint_with(std::string_view prefix, std::string_view name);

/// The files that a checkpoint consists of, beside kModelFile.
inline constexpr const char* kTrainerFile = "trainer.json";
inline constexpr const char* kFirstMomentFile = "first_moment.safetensors";
inline constexpr const char* kSecondMomentFile = "second_moment.safetensors";
inline constexpr const char* kRunningFile = "running.safetensors";
/// Whether `name` is that of a file of a checkpoint, or of an AsideFile that becomes one.
[[nodiscard]] bool is_checkpoint_file(std::string_view name);

/// Of the lock in a checkpoint directory (RunLock).
inline constexpr const char* kLockFile = ".lock";

}  // namespace ane::train
