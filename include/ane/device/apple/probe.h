#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ane/device/apple/library_paths.h"

namespace ane::device::apple {

/// Something that the bridge needs or can use, and whether it is present.
struct Finding {
  enum class Kind : std::uint8_t { library, function, type, method };
  Kind kind = Kind::library;
  std::string name;  ///< a path, "IOSurfaceLock", "_ANERequest", "-[_ANEInMemoryModel modelAttributes]"
  bool required = true;
  bool found = false;
  std::string note;  ///< the system's message, or how a signature differs from the expected one
};

[[nodiscard]] std::string to_string(const Finding& finding);  ///< "class _ANERequest: missing"

/// The capabilities of this machine, found without compiling or allocating anything.
struct Probe {
  std::vector<Finding> findings;
  std::string chip;                     ///< "Apple M4 Pro", or empty
  std::string os;                       ///< "macOS 15.3 (24D60)", or empty
  std::optional<bool> has_ane;          ///< nullopt if the framework does not report it
  std::optional<bool> virtual_machine;  ///< in one, the host may answer has_ane (ane.md L18)
  std::string architecture;             ///< "h16g", or empty
  std::optional<unsigned> cores;        ///< of the ANE

  /// Everything required is present, and the framework does not report that there is no ANE.
  [[nodiscard]] bool usable() const;
  /// usable() and not a virtual machine, so that `auto` may select it.
  [[nodiscard]] bool usable_unasked() const;
  /// Why `auto` does not select it, in one line that names each missing part; empty if it does.
  [[nodiscard]] std::string reason() const;
};

/// Never throws for missing parts.
[[nodiscard]] Probe probe(const LibraryPaths& paths = standard_libraries());

}  // namespace ane::device::apple
