#include "system_info.h"

#include <algorithm>
#include <cstddef>

#include <fmt/format.h>

namespace ane::device::apple {

namespace {

using SysctlByName = int(const char*, void*, std::size_t*, void*, std::size_t);

std::string text(SysctlByName* sysctl, const char* name) {
  std::size_t size = 0;
  if (sysctl(name, nullptr, &size, nullptr, 0) != 0 || size == 0) return {};
  std::string value(size, '\0');
  if (sysctl(name, value.data(), &size, nullptr, 0) != 0) return {};
  value.resize(std::min(value.find('\0'), value.size()));  // the size counts the terminator
  return value;
}

}  // namespace

SystemInfo system_info(Lookup& lookup, const objc::Library& library) {
  SysctlByName* sysctl = nullptr;
  lookup.function(sysctl, library, "sysctlbyname", Need::optional);
  if (sysctl == nullptr) return {};
  const std::string version = text(sysctl, "kern.osproductversion");
  const std::string build = text(sysctl, "kern.osversion");
  return {.chip = text(sysctl, "machdep.cpu.brand_string"),
          .os = version.empty() ? "" : fmt::format("macOS {} ({})", version, build)};
}

}  // namespace ane::device::apple
