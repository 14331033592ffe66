#include "ane/core/own_executable.h"

#ifdef __APPLE__
#include <cstdint>
#include <string_view>

#include <mach-o/dyld.h>
#endif

namespace ane {

std::string own_executable() {
#ifdef __APPLE__
  std::uint32_t size = 0;
  _NSGetExecutablePath(nullptr, &size);
  std::string path(size, '\0');
  _NSGetExecutablePath(path.data(), &size);
  path.resize(std::string_view(path.c_str()).size());
  return path;
#else
  return "/proc/self/exe";
#endif
}

}  // namespace ane
