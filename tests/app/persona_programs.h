#pragma once

#include <string>

#include "app/program.h"

namespace cli_test {

#ifdef ANE_TRAIN_STANDIN
/// The environment of a persona of the stand-in; `folder` has its temporary directory and the user's directory for
/// caches.
inline Words persona_variables(const Folder& folder, const std::string& chip) {
  return {"STANDIN_CHIP=" + chip,
          "STANDIN_HOME=" + (folder / "home"),
          "XDG_CACHE_HOME=" + (folder / "cache"),
          "STANDIN_COMPILE_MS=0",
          "STANDIN_THREADS=1",
          "STANDIN_CLOCK=simulated"};
}

/// ane-train on a persona.
inline Result on_persona(const Folder& folder, const std::string& chip, const Words& words) {
  return Program(words, persona_variables(folder, chip), folder.path(), ANE_TRAIN_STANDIN).wait();
}
#endif

}  // namespace cli_test
