#include <cstdlib>
#include <sstream>
#include <string>

#include "ane/device/apple/library_paths.h"

// Takes the place of the bridge's own definition in programs made for tests.

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

// What GNU's runtime keeps for the classes of a library is its own affair. Objects do not come from objc_malloc: a leak
// of one still shows.
extern "C" const char* __lsan_default_suppressions() { return "leak:objc_malloc\nleak:class_copyMethodList\n"; }
