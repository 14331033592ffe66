#ifndef __APPLE__

#include "openblas.h"

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <dlfcn.h>
#include <fmt/format.h>
#include <sys/mman.h>

#include "ane/core/error.h"

/// OpenBLAS selects its kernels in a constructor, from a list of the processors known when it was released. On an
/// unknown one, Debian 12's version falls back to SSE3 and is 8 times slower than possible (Xeon of 2023). The only way
/// to override this is a variable that must be set before the library is loaded; so it is loaded here, not by the
/// linker.
namespace ane::math {
namespace {

/// Sets an environment variable, unless the user did, until the end of the scope.
class ScopedVariable {
 public:
  ScopedVariable(const char* name, const char* value) : name_(name), ours_(std::getenv(name) == nullptr) {
    if (ours_) ::setenv(name, value, 1);
  }
  ~ScopedVariable() {
    if (ours_) ::unsetenv(name_);
  }
  ScopedVariable(const ScopedVariable&) = delete;
  ScopedVariable& operator=(const ScopedVariable&) = delete;

 private:
  const char* name_;
  bool ours_;
};

void* open_openblas(const char* kernels) {
  const ScopedVariable threads("OPENBLAS_NUM_THREADS", "1");
  std::optional<ScopedVariable> choice;
  if (kernels != nullptr) choice.emplace("OPENBLAS_CORETYPE", kernels);
  for (const char* name : {ANE_OPENBLAS_LIBRARY, "libopenblas.so.0"}) {
    if (void* library = ::dlopen(name, RTLD_NOW | RTLD_LOCAL)) return library;
  }
  throw DeviceError(fmt::format("OpenBLAS cannot be loaded: {}; install it (Debian: libopenblas0)", ::dlerror()));
}

template <class Function>
Function* find(void* library, const char* name) {
  if (void* symbol = ::dlsym(library, name)) return reinterpret_cast<Function*>(symbol);
  throw DeviceError(fmt::format("OpenBLAS has no function {}; is another library in its place?", name));
}

bool can_map(std::size_t bytes) {
  void* const mapping = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) return false;
  ::munmap(mapping, bytes);
  return true;
}

constexpr std::size_t kBufferBytes = std::size_t{160} << 20U;  // of a thread of OpenBLAS, with a margin

struct Users {
  std::mutex mutex;
  int threads = 0;
};

Users& users() {
  static Users all;
  return all;
}

// A product makes OpenBLAS map 128 MB for its thread, which it keeps; version 0.3.21 retries forever if that fails. So
// the buffers are mapped here, after checking that there is room.
void reserve_buffers(int threads) {
  constexpr int kMostBuffers = 128;  // OpenBLAS itself supports twice as many
  const auto& [allocate, release] = blas().buffers;
  if (allocate == nullptr || release == nullptr) return;
  const int wanted = std::min(threads, kMostBuffers);
  std::vector<void*> buffers;
  while (std::cmp_less(buffers.size(), wanted) && can_map(kBufferBytes)) buffers.push_back(allocate(0));
  for (void* const buffer : buffers) release(buffer);
  if (std::cmp_less(buffers.size(), wanted)) {
    throw DeviceError(fmt::format(
        "OpenBLAS needs about {} MB of address space for each of {} threads, but there is room only for {}; use fewer "
        "--threads or raise the limit (ulimit -v)",
        kBufferBytes >> 20U, threads, buffers.size()));
  }
}

/// Recent versions map a buffer while they are loaded, and end the process if that fails.
void expect_room_to_load() {
  if (!can_map(kBufferBytes))
    throw DeviceError(fmt::format(
        "OpenBLAS needs about {} MB of address space to be loaded; raise the limit (ulimit -v)", kBufferBytes >> 20U));
}

/// `configuration` begins with both; build options follow.
std::string name_and_version(const std::string& configuration) {
  return configuration.substr(0, configuration.find(' ', configuration.find(' ') + 1));
}

}  // namespace

Blas load_openblas(const char* kernels) {
  expect_room_to_load();
  void* const library = open_openblas(kernels);
  find<void(int)>(library, "openblas_set_num_threads")(1);
  return {find<decltype(cblas_sgemm)>(library, "cblas_sgemm"),
          find<decltype(cblas_sgemv)>(library, "cblas_sgemv"),
          fmt::format("{} ({} kernels)", name_and_version(find<char*()>(library, "openblas_get_config")()),
                      find<char*()>(library, "openblas_get_corename")()),
          {reinterpret_cast<void* (*)(int)>(::dlsym(library, "blas_memory_alloc")),
           reinterpret_cast<void (*)(void*)>(::dlsym(library, "blas_memory_free"))}};
}

BlasUse::BlasUse(int threads) : threads_(threads) {
  const std::scoped_lock lock(users().mutex);
  reserve_buffers(users().threads + threads);
  users().threads += threads;
}

BlasUse::~BlasUse() {
  const std::scoped_lock lock(users().mutex);
  users().threads -= threads_;
}

}  // namespace ane::math

#endif
