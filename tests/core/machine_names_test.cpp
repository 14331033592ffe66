#include "ane/core/machine_names.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include <sys/utsname.h>

#include "support/catch.h"
#include "support/temporary_directory.h"

using namespace ane;

namespace {

void write_system_file(const std::filesystem::path& file, std::string_view text) {
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file) << text;
}

}  // namespace

TEST_CASE("the distribution and the processor are named", "[core][machine]") {
  const TemporaryDirectory root;
  write_system_file(root.path() / "etc/os-release",
                    "NAME=\"Debian\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\n");
  write_system_file(root.path() / "proc/cpuinfo", "processor\t: 0\nmodel\t\t: 143\nmodel name\t: Some CPU @ 2 GHz\n\n");
  const MachineNames names = machine_names(root.path());
  CHECK_THAT(names.system, ANE_CONTAINS("Debian GNU/Linux 12 (bookworm), "));
  CHECK(names.processor == "Some CPU @ 2 GHz");
}

TEST_CASE("a board is named by the device tree", "[core][machine]") {
  const TemporaryDirectory root;
  write_system_file(root.path() / "proc/cpuinfo", "processor\t: 0\nBogoMIPS\t: 108.00\n");
  write_system_file(root.path() / "sys/firmware/devicetree/base/model",
                    std::string_view("Raspberry Pi 5 Model B\0", 23));
  CHECK(machine_names(root.path()).processor == "Raspberry Pi 5 Model B");
}

TEST_CASE("without files the kernel names system and processor", "[core][machine]") {
  const TemporaryDirectory root;
  write_system_file(root.path() / "etc/os-release", "PRETTY_NAME=\"\"\n");
  utsname kernel{};
  REQUIRE(::uname(&kernel) == 0);
  const MachineNames names = machine_names(root.path());
  CHECK(names.system == std::string(kernel.sysname) + ' ' + kernel.release);
  CHECK(names.processor == kernel.machine);
}
