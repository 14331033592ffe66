// A library to preload on Linux. It counts the calls below FAIL_BELOW that a disk can fail, over a process and all that
// replace it, and makes one of them fail.
//   FAIL_BELOW=FOLDER   absolute path
//   FAIL_CALL=K         1-based index of the failing call; 0: none
//   FAIL_ERROR=E        with this errno
//   FAIL_COUNT=FILE     eight bytes, the number of calls so far

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

using Counter = std::atomic<std::uint64_t>;

/// Shared by the processes of a run.
Counter* counter() {
  static Counter* const shared = [] {
    const char* const path = std::getenv("FAIL_COUNT");
    if (path == nullptr) std::abort();
    const auto file = static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC));
    void* const memory = ::mmap(nullptr, sizeof(Counter), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (memory == MAP_FAILED) std::abort();
    ::close(file);
    return static_cast<Counter*>(memory);
  }();
  return shared;
}

std::uint64_t number(const char* variable) {
  const char* const text = std::getenv(variable);
  return text == nullptr ? 0 : std::strtoull(text, nullptr, 10);
}

std::string path_of(int descriptor) {
  std::array<char, 4096> target;
  const std::string link = "/proc/self/fd/" + std::to_string(descriptor);
  const auto size = ::readlink(link.c_str(), target.data(), target.size());
  return size > 0 ? std::string(target.data(), static_cast<std::size_t>(size)) : std::string();
}

std::string path_at(int folder, const char* path) {
  if (path[0] == '/' || folder == AT_FDCWD) return path;
  return path_of(folder) + "/" + path;
}

/// Whether this call must fail; sets errno.
bool fails(const std::string& path) {
  const char* const below = std::getenv("FAIL_BELOW");
  if (below == nullptr || path.compare(0, std::strlen(below), below) != 0) return false;
  if (counter()->fetch_add(1) + 1 != number("FAIL_CALL")) return false;
  errno = static_cast<int>(number("FAIL_ERROR"));
  return true;
}

template <class Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

// NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): the system's names differ
#define WRAP(result, name, parameters, arguments, path)       \
  extern "C" result name parameters {                         \
    if (fails(path)) return -1;                               \
    static auto* const real = next<result parameters>(#name); \
    return real arguments;                                    \
  }

WRAP(ssize_t, write, (int file, const void* bytes, size_t size), (file, bytes, size), path_of(file))
WRAP(ssize_t, pwrite, (int file, const void* bytes, size_t size, off_t at), (file, bytes, size, at), path_of(file))
WRAP(int, fsync, (int file), (file), path_of(file))
WRAP(int, ftruncate, (int file, off_t size), (file, size), path_of(file))
WRAP(int, flock, (int file, int operation), (file, operation), path_of(file))
WRAP(int, rename, (const char* from, const char* to), (from, to), from)
WRAP(int, mkdir, (const char* path, mode_t mode), (path, mode), path)
WRAP(int, statvfs, (const char* path, struct statvfs* status), (path, status), path)
WRAP(int, rmdir, (const char* path), (path), path)
WRAP(int, unlink, (const char* path), (path), path)
WRAP(int, unlinkat, (int folder, const char* path, int flags), (folder, path, flags), path_at(folder, path))

extern "C" int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  if (fails(path)) return -1;
  return static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}

extern "C" int openat(int folder, const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  if (fails(path_at(folder, path))) return -1;
  return static_cast<int>(::syscall(SYS_openat, folder, path, flags, mode));
}
// NOLINTEND(readability-inconsistent-declaration-parameter-name)
