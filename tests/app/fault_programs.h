#pragma once

#include <string>
#include <vector>

#include "app/program.h"

/// Programs that support planned faults (tests/faults/fault_device.h).
namespace cli_test {

/// The devices that tests can run on: the host and, if it was built, the stand-in for Apple's framework.
inline std::vector<std::string> devices() {
#ifdef ANE_TRAIN_STANDIN
  return {"host", "ane"};
#else
  return {"host"};
#endif
}

/// The program for one of them.
inline std::string program_of([[maybe_unused]] const std::string& device) {
#ifdef ANE_TRAIN_STANDIN
  if (device == "ane") return ANE_TRAIN_STANDIN;
#endif
  return ANE_TRAIN_FAULTS;
}

}  // namespace cli_test
