#include "checkpoint/aside_directory.h"

#include <algorithm>
#include <cerrno>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <unistd.h>

#include "ane/core/error.h"
#include "ane/core/file.h"
#include "ane/model/companions.h"

#include "checkpoint/checkpoint_names.h"
#include "checkpoint/trainer_file.h"

namespace ane::train {

namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const fs::path& path, std::string_view what, const std::error_code& error) {
  throw FileError(fmt::format("{}: {}: {}", path.string(), what, error.message()));
}

fs::path beside(const fs::path& place, std::string_view prefix) {
  return place.parent_path() / fmt::format("{}{}", prefix, place.filename().string());
}

/// Whether it is a directory and not a symbolic link to one.
bool is_real_directory(const fs::path& path) {
  std::error_code ignored;
  return fs::symlink_status(path, ignored).type() == fs::file_type::directory;
}

std::vector<fs::path> entries_of(const fs::path& directory, std::error_code& error) {
  std::vector<fs::path> entries;
  for (fs::directory_iterator entry(directory, error); !error && entry != fs::directory_iterator();
       entry.increment(error))
    entries.push_back(entry->path());
  return entries;
}

/// The companion files of the model that the checkpoint wrote itself. Users may add others of these names.
std::set<std::string> own_companions(const fs::path& checkpoint) try {
  std::set<std::string> names;
  for (const auto& [name, digest] : read_trainer_file(checkpoint / kTrainerFile).files)
    if (model::is_companion_file(name)) names.insert(name);
  return names;
} catch (const Error&) {
  return {};
}

bool is_incomplete(const fs::path& directory) { return directory.filename().string().starts_with(kPartialPrefix); }

/// Removes the files of a checkpoint from `directory`, and then the directory, unless it contains other files.
std::error_code remove_checkpoint(const fs::path& directory) {
  if (!is_real_directory(directory)) return std::make_error_code(std::errc::not_a_directory);
  const std::set<std::string> companions = own_companions(directory);
  const auto is_ours = [&](const fs::path& entry) {
    const std::string name = entry.filename().string();
    const std::string_view file = final_name(name);
    if (is_checkpoint_file(file)) return true;
    return companions.contains(name) || (is_incomplete(directory) && model::is_companion_file(file));
  };
  std::error_code error;
  std::vector<fs::path> entries = entries_of(directory, error);
  // trainer.json, which lists the files, is removed last.
  std::stable_partition(entries.begin(), entries.end(),
                        [](const fs::path& entry) { return entry.filename() != kTrainerFile; });
  for (const fs::path& entry : entries)
    if (is_ours(entry) && ::unlink(entry.c_str()) != 0) return {errno, std::generic_category()};
  if (!error && ::rmdir(directory.c_str()) != 0) error.assign(errno, std::generic_category());
  return error;
}

bool is_not_empty(const std::error_code& error) {
  return error == std::errc::directory_not_empty || error == std::errc::file_exists;
}

/// remove_checkpoint() of a directory that was renamed from `place`; renames it back if it contains other files.
std::error_code remove_renamed(const fs::path& old, const fs::path& place) {
  std::error_code error = remove_checkpoint(old);
  std::error_code missing;
  if (is_not_empty(error) && fs::symlink_status(place, missing).type() == fs::file_type::not_found)
    fs::rename(old, place, error);
  return error;
}

}  // namespace

void remove_leftovers(const fs::path& directory) {
  std::error_code ignored;  // leftovers are harmless
  for (const fs::path& entry : entries_of(directory, ignored)) {
    const std::string name = entry.filename().string();
    if (!is_real_directory(entry)) continue;
    if (is_checkpoint_with(kPartialPrefix, name)) remove_checkpoint(entry);
    if (is_checkpoint_with(kOldPrefix, name)) remove_renamed(entry, directory / name.substr(kOldPrefix.size()));
  }
}

AsideDirectory::AsideDirectory(fs::path place) : place_(std::move(place)), aside_(beside(place_, kPartialPrefix)) {
  make_directories(place_.parent_path());
  remove_leftovers(place_.parent_path());
  std::error_code error;
  if (!fs::create_directory(aside_, error))
    fail(aside_, "the checkpoint could not be written", error ? error : std::make_error_code(std::errc::file_exists));
}

AsideDirectory::~AsideDirectory() {
  if (!aside_.empty()) remove_checkpoint(aside_);
}

void AsideDirectory::move_into_place() {
  sync_directory(aside_);
  const fs::path old = beside(place_, kOldPrefix);
  std::error_code error;
  fs::rename(place_, old, error);
  const bool replaced = !error;
  fs::rename(aside_, place_, error);
  if (error) {
    std::error_code ignored;
    if (replaced) fs::rename(old, place_, ignored);
    fail(place_, "the checkpoint could not be moved into place", error);
  }
  aside_.clear();
  sync_directory(place_.parent_path());
  if (replaced) remove_checkpoint(old);
}

void remove_directory(const fs::path& directory) {
  if (!is_real_directory(directory)) return;
  const fs::path old = beside(directory, kOldPrefix);
  std::error_code error;
  fs::rename(directory, old, error);
  if (!error) error = remove_renamed(old, directory);
  if (error) fail(directory, "the directory could not be removed", error);
}

}  // namespace ane::train
