#pragma once

namespace ane::distributed {

/// Removes the launcher's variables from the environment of this process, which is now a trainer.
void forget_launcher();

}  // namespace ane::distributed
