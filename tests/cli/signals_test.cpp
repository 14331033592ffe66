#include "ane/cli/signals.h"

#include <csignal>

#include "support/catch.h"

namespace {

using ane::cli::StopSignals;

stack_t handler_stack() {
  stack_t stack = {};
  ::sigaltstack(nullptr, &stack);
  return stack;
}

}  // namespace

TEST_CASE("the first signal asks for a stop, and the second would kill", "[cli][signal]") {
  const StopSignals signals;
  CHECK_FALSE(signals.stop());
  CHECK(signals.number() == 0);
  REQUIRE(::raise(SIGTERM) == 0);
  CHECK(signals.stop());
  CHECK(signals.number() == SIGTERM);
  struct sigaction present = {};
  ::sigaction(SIGTERM, nullptr, &present);
  CHECK(present.sa_handler == SIG_DFL);
}

TEST_CASE("a stop signal's handler has a stack of its own", "[cli][signal]") {
  const stack_t before = handler_stack();
  {
    const StopSignals signals;
    const stack_t own = handler_stack();
    CHECK((own.ss_flags & SS_DISABLE) == 0);
    CHECK(own.ss_sp != before.ss_sp);
    for (const int number : {SIGINT, SIGTERM}) {
      struct sigaction present = {};
      ::sigaction(number, nullptr, &present);
      CHECK((present.sa_flags & SA_ONSTACK) != 0);
    }
  }
  CHECK(handler_stack().ss_sp == before.ss_sp);
}
