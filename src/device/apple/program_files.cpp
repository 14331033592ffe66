#include "program_files.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <exception>
#include <string>
#include <system_error>
#include <vector>

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ane/device/device.h"
#include "ane/mil/blob.h"

namespace ane::device::apple {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kDigits = "0123456789";

bool is_plain_file(const fs::path& path) noexcept {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode);
}

/// Whether `name` is a file beside weights/. Until it is complete, its name ends in the ID of the writing process.
bool is_top_level_file(std::string_view name) {
  constexpr std::array<std::string_view, 3> kNames{kTextFile, "net.plist", "data"};
  const std::size_t stem = name.find_last_not_of(kDigits);
  const bool is_partial = stem != std::string_view::npos && stem + 1 < name.size() && name[stem] == '.';
  return std::find(kNames.begin(), kNames.end(), is_partial ? name.substr(0, stem) : name) != kNames.end();
}

void remove_top_level_files(const fs::path& directory) {
  for (const fs::directory_entry& entry : fs::directory_iterator(directory)) {
    if (is_top_level_file(entry.path().filename().string()) && is_plain_file(entry.path()))
      ::unlink(entry.path().c_str());
  }
}

/// Removes all regular files below `directory`, and the directories that are then empty.
void remove_tree(const fs::path& directory) {
  if (!is_own_directory(directory)) return;
  std::vector<fs::path> directories{directory};
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(directory)) {
    if (is_plain_file(entry.path())) ::unlink(entry.path().c_str());
    if (is_own_directory(entry.path())) directories.push_back(entry.path());
  }
  // Inner directories come later in the list.
  std::for_each(directories.rbegin(), directories.rend(), [](const fs::path& path) { ::rmdir(path.c_str()); });
}

void remove_blob_file(const fs::path& directory, const fs::path& file) {
  std::vector<fs::path> parents;
  fs::path place = directory;
  for (const fs::path& part : file.parent_path()) parents.push_back(place /= part);
  if (!std::all_of(parents.begin(), parents.end(), is_own_directory)) return;
  if (is_plain_file(directory / file)) ::unlink((directory / file).c_str());
  std::for_each(parents.rbegin(), parents.rend(), [](const fs::path& path) { ::rmdir(path.c_str()); });
}

}  // namespace

fs::path blob_file(std::string_view key) try {
  fs::path file = mil::blob_place(key);
  if (file == kTextFile)
    throw CompileError(fmt::format("blob path '{}': this path is reserved for the program's text", key));
  return file;
} catch (const mil::BlobError& error) {
  throw CompileError(error.what());
}

bool is_program_identifier(std::string_view name) noexcept {
  constexpr std::size_t kHashes = 3;
  constexpr std::size_t kHashDigits = 64;
  if (name.size() != kHashes * (kHashDigits + 1) - 1) return false;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const bool is_joint = i % (kHashDigits + 1) == kHashDigits;
    constexpr std::string_view kHexadecimal = "0123456789ABCDEFabcdef";
    if (is_joint ? name[i] != '_' : kHexadecimal.find(name[i]) == std::string_view::npos) return false;
  }
  return true;
}

bool is_own_directory(const fs::path& path) noexcept {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == ::geteuid();
}

void remove_program_files(const fs::path& directory, std::span<const fs::path> blob_files) noexcept try {
  if (!is_own_directory(directory)) return;
  remove_top_level_files(directory);
  remove_tree(directory / "weights");
  for (const fs::path& file : blob_files) remove_blob_file(directory, file);
  ::rmdir(directory.c_str());
} catch (const std::exception&) {
  // Leftovers are harmless, and the system eventually cleans its directory for temporary files.
}

}  // namespace ane::device::apple
