#include <cstdlib>
#include <sstream>
#include <string>

#include "ane/device/apple/library_paths.h"

// Replaces the bridge's own definition in test programs.

namespace ane::device::apple {

LibraryPaths standard_libraries() {
  LibraryPaths paths{.system = ANE_STANDIN_LIBRARY,
                     .objc = ANE_STANDIN_LIBRARY,
                     .foundation = ANE_STANDIN_LIBRARY,
                     .core_foundation = ANE_STANDIN_LIBRARY,
                     .io_surface = ANE_STANDIN_LIBRARY,
                     .neural_engine = ANE_STANDIN_LIBRARY,
                     .hidden = {}};
  const char* const hidden = std::getenv("STANDIN_HIDE");  // names, separated by commas
  std::istringstream names(hidden == nullptr ? "" : hidden);
  for (std::string name; std::getline(names, name, ',');) paths.hidden.push_back(name);
  return paths;
}

}  // namespace ane::device::apple

// Ignores memory that GNU's runtime keeps for classes. Objects do not come from objc_malloc, so their leaks are still
// detected.
extern "C" const char* __lsan_default_suppressions() { return "leak:objc_malloc\nleak:class_copyMethodList\n"; }
// A list of used suppressions would follow a program's own messages.
extern "C" const char* __lsan_default_options() { return "print_suppressions=0"; }
