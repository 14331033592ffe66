#include "ane/core/error.h"

#include <system_error>

#include <fmt/format.h>

namespace ane {

std::string system_message(int error_number) { return std::generic_category().message(error_number); }

void throw_file_error(const std::filesystem::path& path, std::string_view what) {
  throw FileError(fmt::format("{}: {}", path.string(), what));
}

}  // namespace ane
