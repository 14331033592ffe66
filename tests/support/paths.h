#pragma once

#include <filesystem>

namespace ane::test {

/// The root of the source tree, with the golden files and corpora of tests.
[[nodiscard]] std::filesystem::path source_dir();

/// The directory beside the source tree with reference values and data too large for it. It may be missing: a test that
/// needs it is skipped with a message.
[[nodiscard]] std::filesystem::path shared_dir();

}  // namespace ane::test
