#include "ane/app/signals.h"

#include <csignal>

#include "support/catch.h"

namespace {

using ane::app::StopSignals;

stack_t handler_stack() {
  stack_t stack = {};
  ::sigaltstack(nullptr, &stack);
  return stack;
}

}  // namespace

TEST_CASE("a signal requests a stop, and only a second SIGINT would kill", "[app][signal]") {
  const int number = GENERATE(SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGXCPU);
  CAPTURE(number);
  const StopSignals signals;
  CHECK_FALSE(signals.stop());
  CHECK(signals.number() == 0);
  REQUIRE(::raise(number) == 0);
  CHECK(signals.stop());
  CHECK(signals.number() == number);
  struct sigaction present = {};
  ::sigaction(number, nullptr, &present);
  CHECK((present.sa_handler == SIG_DFL) == (number == SIGINT));
  if (number == SIGINT) return;
  REQUIRE(::raise(number) == 0);
  CHECK(signals.number() == number);
}

TEST_CASE("the signal handler has its own stack", "[app][signal]") {
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
