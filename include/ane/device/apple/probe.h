#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ane/device/apple/library_paths.h"

namespace ane::device::apple {

/// Something the bridge needs, or can use, and whether it is there.
struct Finding {
  enum class Kind : std::uint8_t { library, function, type, method };
  Kind kind = Kind::library;
  std::string name;  ///< a path, "IOSurfaceLock", "_ANERequest", "-[_ANEInMemoryModel modelAttributes]"
  bool required = true;
  bool found = false;
  std::string note;  ///< the system's words, or how a signature differs from the one expected
};

[[nodiscard]] std::string to_string(const Finding& finding);  ///< "class _ANERequest: missing"

/// What this machine offers, found without compiling or allocating anything.
struct Probe {
  std::vector<Finding> findings;
  std::string chip;                     ///< "Apple M4 Pro", or empty
  std::string os;                       ///< "macOS 15.3 (24D60)", or empty
  std::optional<bool> has_ane;          ///< unless the framework does not tell
  std::optional<bool> virtual_machine;  ///< in one the host may answer has_ane (ane.md L18)
  std::string architecture;             ///< "h16g", or empty
  std::optional<unsigned> cores;        ///< of the ANE

  /// Everything required is there, and the framework does not deny that there is an ANE.
  [[nodiscard]] bool usable() const;
  /// And it is no virtual machine, so that it can be picked unasked.
  [[nodiscard]] bool usable_unasked() const;
  /// Why it is not picked unasked, in one line that names each missing thing; empty if it is.
  [[nodiscard]] std::string reason() const;
};

/// Never throws for anything that is missing.
[[nodiscard]] Probe probe(const LibraryPaths& paths = standard_libraries());

}  // namespace ane::device::apple
