#pragma once

#include <filesystem>

namespace ane::test {

/// The root of the source tree, where tests find their golden files and corpora.
[[nodiscard]] std::filesystem::path source_dir();

/// The directory beside the source tree that holds reference values and data too large for it. It may be absent: a test
/// that needs it skips with a message.
[[nodiscard]] std::filesystem::path shared_dir();

}  // namespace ane::test
