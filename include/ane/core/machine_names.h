#pragma once

#include <filesystem>
#include <string>

namespace ane {

/// Names for bug reports; never empty.
struct MachineNames {
  std::string system;     ///< "Debian GNU/Linux 12 (bookworm), Linux 6.1.0"
  std::string processor;  ///< "Intel(R) Xeon(R) Processor", a board's name ("Raspberry Pi 5"), or the architecture
};

/// What the kernel and the distribution report. The files that Linux has for this are looked up below `root`.
[[nodiscard]] MachineNames machine_names(const std::filesystem::path& root = "/");

}  // namespace ane
