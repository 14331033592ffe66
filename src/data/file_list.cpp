#include <algorithm>
#include <string>
#include <system_error>

#include <fmt/format.h>

#include "ane/core/error.h"
#include "ane/data/sources.h"

namespace ane::data {

std::vector<std::filesystem::path> files_in_list(std::string_view list, const std::filesystem::path& directory) {
  // A checkpoint may provide the list, and each name is looked up.
  constexpr std::size_t kMostFiles = 1000;
  constexpr std::size_t kLongestName = 1024;
  std::vector<std::filesystem::path> files;
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t comma = std::min(list.find(',', begin), list.size());
    // The longest name that exists, else up to the next comma.
    std::size_t end = list.size() - begin <= kLongestName ? list.size() : list.rfind(',', begin + kLongestName);
    const auto is_file = [&] {
      std::error_code ignored;
      return std::filesystem::exists(directory / list.substr(begin, end - begin), ignored);
    };
    while (end != std::string_view::npos && end > comma && !is_file()) end = list.rfind(',', end - 1);
    if (end == std::string_view::npos || end < comma) end = comma;
    if (end == begin) throw UsageError("data: a name is empty; separate the names of files by single commas");
    if (files.size() == kMostFiles)
      throw UsageError(fmt::format("data: more than {} files; join some of them (cat A B >C)", kMostFiles));
    files.push_back(directory / list.substr(begin, end - begin));
    begin = end + 1;
  }
  return files;
}

std::string name_of_files(const std::string& first, std::size_t count) {
  if (count == 1) return first;
  return fmt::format("{} and {} more file{}", first, count - 1, count == 2 ? "" : "s");
}

}  // namespace ane::data
