#pragma once

#include <filesystem>
#include <span>
#include <string_view>

/// The files of a program, which lie in a directory named by its identifier among everybody's temporary files.
namespace ane::device::apple {

inline constexpr std::string_view kTextFile = "model.mil";

/// Where in the directory a blob lies: its key without "@model_path/". Throws CompileError for a key that has another
/// form or leads out of the directory.
[[nodiscard]] std::filesystem::path blob_file(std::string_view key);

/// Whether the framework names programs so: the SHA-256 of text, weights and options, in hexadecimal digits, joined by
/// '_' (ane.md L1).
[[nodiscard]] bool is_program_identifier(std::string_view name) noexcept;

/// A directory itself and no symbolic link to one, which belongs to this user.
[[nodiscard]] bool is_own_directory(const std::filesystem::path& path) noexcept;

/// Removes from `directory` the regular files that the bridge and the framework write there (ane.md 1.3, L3), namely
/// model.mil, net.plist, data, all below weights/, and `blob_files`; and then itself, unless something else is in it.
/// Follows no symbolic link and touches no directory of another user.
void remove_program_files(const std::filesystem::path& directory,
                          std::span<const std::filesystem::path> blob_files) noexcept;

}  // namespace ane::device::apple
