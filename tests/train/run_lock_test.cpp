#include "ane/train/run_lock.h"

#include <optional>
#include <string>

#include <fcntl.h>
#include <unistd.h>

#include "ane/core/error.h"

#include "support/catch.h"
#include "support/temporary_directory.h"

using namespace ane::train;

TEST_CASE("a directory has one run at a time, and the other is named", "[train]") {
  const TemporaryDirectory directory;
  const auto place = directory.path() / "new" / "run";
  std::optional<RunLock> first(place);
  CHECK_THROWS_AS(RunLock(place), ane::UsageError);
  CHECK_THROWS_WITH(RunLock(place),
                    ANE_CONTAINS(place.string()) && ANE_CONTAINS("process " + std::to_string(::getpid()) + " writes"));
  CHECK((::fcntl(first->descriptor(), F_GETFD) & FD_CLOEXEC) != 0);
  first.reset();
  CHECK_NOTHROW(RunLock(place));
}

TEST_CASE("a lock that is handed over holds until its last owner is gone", "[train]") {
  const TemporaryDirectory directory;
  std::optional<RunLock> first(directory.path());
  const int handed = ::dup(first->descriptor());
  first.reset();
  {
    const RunLock second(handed);
    CHECK((::fcntl(handed, F_GETFD) & FD_CLOEXEC) != 0);
    CHECK_THROWS_AS(RunLock(directory.path()), ane::UsageError);
  }
  CHECK_NOTHROW(RunLock(directory.path()));
}

TEST_CASE("a directory that cannot be locked is an error", "[train]") {
  const TemporaryDirectory directory;
  const auto file = directory.write("file", "x");
  CHECK_THROWS_AS(RunLock(file), ane::FileError);
  CHECK_THROWS_WITH(RunLock(file), ANE_CONTAINS("file"));
}
