#include "ane/core/file_names.h"

#include <system_error>

namespace ane {

bool is_taken(const std::filesystem::path& path) noexcept {
  std::error_code ignored;
  return std::filesystem::symlink_status(path, ignored).type() != std::filesystem::file_type::not_found;
}

}  // namespace ane
