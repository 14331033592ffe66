#pragma once

#include <string>
#include <vector>

namespace ane::device::apple {

/// Where the libraries are that the bridge finds at run time.
struct LibraryPaths {
  std::string system;           ///< sysctlbyname
  std::string objc;             ///< the Objective-C runtime
  std::string foundation;       ///< NSString, NSData, ...
  std::string core_foundation;  ///< CFRelease
  std::string io_surface;
  std::string neural_engine;  ///< the private framework
  /// Names of libraries, functions, classes and methods to treat as missing, so that tests can show what then happens.
  std::vector<std::string> hidden;
};

/// Apple's own. A program made for tests defines this function itself and names the stand-in; no other program can load
/// anything else.
[[nodiscard]] LibraryPaths standard_libraries();

}  // namespace ane::device::apple
