#pragma once

#include <filesystem>
#include <span>
#include <string_view>

/// The files of a program, in a directory named by its identifier in the shared directory for temporary files.
namespace ane::device::apple {

inline constexpr std::string_view kTextFile = "model.mil";

/// Relative path of a blob: its key without "@model_path/". Throws CompileError for a key that has another form or
/// leads out of the directory.
[[nodiscard]] std::filesystem::path blob_file(std::string_view key);

/// Whether `name` has the form of the framework's program identifiers: the SHA-256 sums of text, weights and options in
/// hexadecimal, joined by '_' (ane.md L1).
[[nodiscard]] bool is_program_identifier(std::string_view name) noexcept;

/// Whether `path` is a directory owned by this user and not a symbolic link.
[[nodiscard]] bool is_own_directory(const std::filesystem::path& path) noexcept;

/// Removes from `directory` the regular files that the bridge and the framework write there (ane.md 1.3, L3), namely
/// model.mil, net.plist, data, everything below weights/, and `blob_files`; then the directory itself, unless it
/// contains other files. Does not follow symbolic links or touch directories of other users.
void remove_program_files(const std::filesystem::path& directory,
                          std::span<const std::filesystem::path> blob_files) noexcept;

}  // namespace ane::device::apple
