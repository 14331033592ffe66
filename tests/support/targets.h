#pragma once

#include <cstdint>

#include <hwy/highway.h>

#include "support/catch.h"
#include "support/sanitized.h"

namespace ane::test {

/// Runs `check` once for each instruction set that the program was built for and this processor has. Vectorized code is
/// tested this way, because results must not depend on the processor.
template <class Check>
void on_every_target(const Check& check) {
  struct Restore {
    Restore() = default;
    ~Restore() {
      hwy::SetSupportedTargetsForTest(0);
      hwy::GetChosenTarget().DeInit();
    }
    Restore(const Restore&) = delete;
    Restore& operator=(const Restore&) = delete;
  };
  const Restore restore;
  hwy::SetSupportedTargetsForTest(0);
  std::int64_t rest = hwy::SupportedTargets() & HWY_TARGETS;
  if (kSanitized) rest &= ~std::int64_t{HWY_EMU128};  // Highway itself converts NaN to integers there
  REQUIRE(rest != 0);
  for (; rest != 0; rest &= rest - 1) {
    const std::int64_t target = rest & -rest;
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(target);
    INFO("target " << hwy::TargetName(target));
    check();
  }
}

}  // namespace ane::test
