#pragma once

#include <filesystem>
#include <string>

#include "ane/core/file.h"

#include "support/catch.h"

/// For writers of files that report a problem instead of throwing: none is expected.
inline void fail_on_warning(const std::string& text) { FAIL(text); }

inline std::string text_of(const std::filesystem::path& path) { return ane::read_text_file(path, "test"); }
