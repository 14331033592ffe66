#pragma once

#include <string>
#include <vector>

namespace ane::device::apple {

/// Paths of the libraries that the bridge loads at run time.
struct LibraryPaths {
  std::string system;           ///< sysctlbyname
  std::string objc;             ///< the Objective-C runtime
  std::string foundation;       ///< NSString, NSData, ...
  std::string core_foundation;  ///< CFRelease
  std::string io_surface;
  std::string neural_engine;  ///< the private framework
  /// Names of libraries, functions, classes and methods to treat as missing, for tests.
  std::vector<std::string> hidden;
};

/// Apple's libraries. A test program defines this function itself to select the stand-in framework; no other program
/// can load anything else.
[[nodiscard]] LibraryPaths standard_libraries();

}  // namespace ane::device::apple
