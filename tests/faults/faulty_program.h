#pragma once

#include "ane/explore/clock.h"

namespace ane::test {

/// ane-train whose device has the faults that the variable ANE_TRAIN_FAULT plans. Faults are located by counting kernel
/// runs, whose order is deterministic only with one batch slot. Experiments use `clock`, if there is one.
[[nodiscard]] int run_faulty_program(char** argv, explore::Clock* clock = nullptr);

}  // namespace ane::test
