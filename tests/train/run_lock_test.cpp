#include "ane/train/run_lock.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ane/core/error.h"

#include "support/catch.h"
#include "support/temporary_directory.h"
#include "train/files.h"

using namespace ane::train;
namespace fs = std::filesystem;

namespace {

#ifdef __linux__
/// During its lifetime, lstat reports another inode number than fstat.
class StrangeNumbers {
 public:
  StrangeNumbers() { alive_ = true; }
  ~StrangeNumbers() { alive_ = false; }
  StrangeNumbers(const StrangeNumbers&) = delete;
  StrangeNumbers& operator=(const StrangeNumbers&) = delete;
  [[nodiscard]] static bool is_alive() { return alive_; }

 private:
  static inline bool alive_ = false;
};
#endif

}  // namespace

#ifdef __linux__
// Replaces the system's function in this program.
extern "C" int lstat(const char* path, struct stat* status) noexcept {
  const int result = ::fstatat(AT_FDCWD, path, status, AT_SYMLINK_NOFOLLOW);
  if (StrangeNumbers::is_alive()) ++status->st_ino;
  return result;
}
#endif

TEST_CASE("a directory can be locked by one run at a time, and the error names its process", "[train]") {
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

TEST_CASE("an inherited lock holds until its last owner is gone", "[train]") {
  const TemporaryDirectory directory;
  std::optional<RunLock> first(directory.path());
  const int handed = ::dup(first->descriptor());
  first.reset();
  {
    const RunLock second(directory.path(), handed);
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

TEST_CASE("a file that is not ours is not used as a lock, and stays unchanged", "[train]") {
  const TemporaryDirectory directory;
  const fs::path victim = directory.write("victim", "12 very important");
  const fs::path place = directory.path() / "run";
  const fs::path lock = place / ".lock";
  fs::create_directory(place);
  SECTION("behind a symbolic link") {
    fs::create_symlink("../victim", lock);
    CHECK_THROWS_WITH(RunLock(place), ANE_CONTAINS("run/.lock") && ANE_CONTAINS("it is a symbolic link"));
  }
  SECTION("behind a dangling symbolic link, which stays dangling") {
    fs::create_symlink("../nothing", lock);
    CHECK_THROWS_AS(RunLock(place), ane::FileError);
    CHECK_FALSE(fs::exists(directory.path() / "nothing"));
  }
  SECTION("a hard link") {
    fs::create_hard_link(victim, lock);
    CHECK_THROWS_WITH(RunLock(place), ANE_CONTAINS("run/.lock") && ANE_CONTAINS("does not belong to ane-train"));
  }
  SECTION("a pipe, which must not block") {
    REQUIRE(::mkfifo(lock.c_str(), 0600) == 0);
    CHECK_THROWS_WITH(RunLock(place), ANE_CONTAINS("run/.lock") && ANE_CONTAINS("not a regular file"));
  }
  SECTION("a directory") {
    fs::create_directory(lock);
    CHECK_THROWS_AS(RunLock(place), ane::FileError);
  }
  CHECK(text_of(victim) == "12 very important");
}

#ifdef __linux__
TEST_CASE("a file system that changes inode numbers is an error instead of an endless loop", "[train]") {
  const TemporaryDirectory directory;
  RunLock lock(directory.path() / "first");
  const StrangeNumbers strange_numbers;
  CHECK_THROWS_AS(RunLock(directory.path() / "second"), ane::FileError);
  CHECK_THROWS_WITH(RunLock(directory.path() / "second"),
                    ANE_CONTAINS("second/.lock") && ANE_CONTAINS("does not refer to the file that was opened"));
  CHECK_THROWS_AS(lock.keep(), ane::FileError);
}
#endif

TEST_CASE("a lock that was removed with its directory is taken again before anything is written", "[train]") {
  const TemporaryDirectory directory;
  const fs::path place = directory.path() / "run";
  RunLock lock(place);
  CHECK_NOTHROW(lock.keep());

  SECTION("while no other run holds it") {
    fs::remove_all(place);
    lock.keep();
    CHECK(fs::exists(place / ".lock"));
    CHECK_THROWS_AS(RunLock(place), ane::UsageError);
  }
  SECTION("only the file") {
    fs::remove(place / ".lock");
    lock.keep();
    CHECK_THROWS_AS(RunLock(place), ane::UsageError);
  }
  SECTION("unless another run took it") {
    fs::remove_all(place);
    std::optional<RunLock> other(place);
    CHECK_THROWS_AS(lock.keep(), ane::FileError);
    CHECK_THROWS_WITH(lock.keep(), ANE_CONTAINS("process " + std::to_string(::getpid())));
    other.reset();
    CHECK_NOTHROW(lock.keep());
  }
}
