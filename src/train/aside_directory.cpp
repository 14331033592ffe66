#include "aside_directory.h"

#include <string>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "ane/core/error.h"
#include "ane/core/file.h"

namespace ane::train {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPartial = ".partial-";
constexpr std::string_view kOld = ".old-";

[[noreturn]] void fail(const fs::path& path, std::string_view what, const std::error_code& error) {
  throw FileError(fmt::format("{}: {}: {}", path.string(), what, error.message()));
}

fs::path beside(const fs::path& place, std::string_view prefix) {
  return place.parent_path() / fmt::format("{}{}", prefix, place.filename().string());
}

}  // namespace

void remove_leftovers(const fs::path& directory) {
  std::error_code error;
  for (fs::directory_iterator entry(directory, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    std::error_code ignored;  // it is in nobody's way
    if (name.starts_with(kPartial) || name.starts_with(kOld)) fs::remove_all(entry->path(), ignored);
  }
}

AsideDirectory::AsideDirectory(fs::path place) : place_(std::move(place)), aside_(beside(place_, kPartial)) {
  make_directories(place_.parent_path());
  remove_leftovers(place_.parent_path());
  std::error_code error;
  if (!fs::create_directory(aside_, error))
    fail(aside_, "the checkpoint could not be written", error ? error : std::make_error_code(std::errc::file_exists));
}

AsideDirectory::~AsideDirectory() {
  std::error_code ignored;
  fs::remove_all(aside_, ignored);
}

void AsideDirectory::move_into_place() {
  sync_directory(aside_);
  const fs::path old = beside(place_, kOld);
  std::error_code error;
  fs::rename(place_, old, error);
  const bool replaced = !error;
  fs::rename(aside_, place_, error);
  if (error) {
    std::error_code ignored;
    if (replaced) fs::rename(old, place_, ignored);
    fail(place_, "the checkpoint could not be moved into place", error);
  }
  sync_directory(place_.parent_path());
  fs::remove_all(old, error);
}

void remove_directory(const fs::path& directory) {
  const fs::path old = beside(directory, kOld);
  std::error_code error;
  fs::rename(directory, old, error);
  if (!error) fs::remove_all(old, error);
  if (error) fail(directory, "the directory could not be removed", error);
}

}  // namespace ane::train
