#include "ane/device/apple/library_paths.h"

namespace ane::device::apple {

// Apart from all other code, so that a program made for tests can define this function itself. The files themselves lie
// in dyld's shared cache: only dlopen finds them.
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
