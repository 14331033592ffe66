#include "ane/core/machine_names.h"

#include <fstream>
#include <string_view>

#include <sys/utsname.h>

namespace ane {
namespace {

namespace fs = std::filesystem;

/// The text after `separator` in the first line that begins with `key`, without blanks and quotes around it; empty if
/// there is none.
std::string value_in(const fs::path& file, std::string_view key, char separator) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    const std::size_t at = line.find(separator);
    if (!line.starts_with(key) || at == std::string::npos) continue;
    const std::size_t begin = line.find_first_not_of(" \t\"", at + 1);
    if (begin == std::string::npos) return {};
    return line.substr(begin, line.find_last_not_of(" \t\"") + 1 - begin);
  }
  return {};
}

/// The board's name in the device tree, which ends with a NUL.
std::string board(const fs::path& root) {
  std::ifstream in(root / "sys/firmware/devicetree/base/model");
  std::string name;
  std::getline(in, name, '\0');
  return name;
}

}  // namespace

MachineNames machine_names(const fs::path& root) {
  utsname kernel{};
  if (::uname(&kernel) != 0) return {"an unknown system", "an unknown processor"};
  const std::string distribution = value_in(root / "etc/os-release", "PRETTY_NAME", '=');
  MachineNames names{std::string(kernel.sysname) + ' ' + kernel.release,
                     value_in(root / "proc/cpuinfo", "model name", ':')};
  if (!distribution.empty()) names.system = distribution + ", " + names.system;
  if (names.processor.empty()) names.processor = board(root);
  if (names.processor.empty()) names.processor = kernel.machine;
  return names;
}

}  // namespace ane
