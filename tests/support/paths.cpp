#include "support/paths.h"

namespace ane::test {

std::filesystem::path source_dir() { return ANE_SOURCE_DIR; }

std::filesystem::path shared_dir() { return source_dir() / "../shared"; }

}  // namespace ane::test
