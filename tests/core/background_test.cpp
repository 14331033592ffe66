#include "ane/core/background.h"

#include <system_error>
#include <thread>

#include "support/catch.h"
#include "support/limited_process.h"
#include "support/sanitized.h"

namespace {

std::thread::id runner() {
  return ane::run_in_background([] { return std::this_thread::get_id(); }).get();
}

bool can_start_thread() {
  try {
    std::thread([] {}).join();
    return true;
  } catch (const std::system_error&) {
    return false;
  }
}

}  // namespace

TEST_CASE("work in the background is done by the waiting thread if no other can be started", "[core]") {
  // A limit below what is in use already leaves no room for another stack, unless one of an earlier thread is kept.
  if (kSanitized || !in_limited_process(1, [] { return !can_start_thread(); })) {
    WARN("skipped: addresses cannot be limited here");
    return;
  }
  CHECK(in_limited_process(1, [] { return runner() == std::this_thread::get_id(); }));
}

TEST_CASE("work in the background is done by another thread", "[core]") {
  CHECK(runner() != std::this_thread::get_id());
}
