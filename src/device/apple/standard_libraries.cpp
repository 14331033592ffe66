#include "ane/device/apple/library_paths.h"

namespace ane::device::apple {

// In its own file, so that a test program can define this function itself. The libraries are in dyld's shared cache, so
// only dlopen finds them.
LibraryPaths standard_libraries() {
  return {.system = "/usr/lib/libSystem.B.dylib",
          .objc = "/usr/lib/libobjc.A.dylib",
          .foundation = "/System/Library/Frameworks/Foundation.framework/Foundation",
          .core_foundation = "/System/Library/Frameworks/CoreFoundation.framework/CoreFoundation",
          .io_surface = "/System/Library/Frameworks/IOSurface.framework/IOSurface",
          .neural_engine = "/System/Library/PrivateFrameworks/AppleNeuralEngine.framework/AppleNeuralEngine",
          .hidden = {}};
}

}  // namespace ane::device::apple
