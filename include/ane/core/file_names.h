#pragma once

#include <filesystem>

namespace ane {

/// Whether anything has this name: also a link to a file that is missing, so that opening it reports what is wrong
/// instead of passing over it.
[[nodiscard]] bool is_taken(const std::filesystem::path& path) noexcept;

}  // namespace ane
