#include "ane/core/stack.h"

#include <csignal>
#include <cstddef>

#include <fmt/format.h>
#include <pthread.h>
#include <sys/resource.h>

#include "ane/core/error.h"

namespace ane {
namespace {

constexpr std::size_t kStackBytes = std::size_t{8} << 20U;

bool stack_is_small() noexcept {
  rlimit limit{};
  return ::getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < kStackBytes;
}

struct Call {
  const std::function<int()>* work;
  sigset_t signals;
  int result = 0;
};

void* answer(void* argument) {
  auto& call = *static_cast<Call*>(argument);
  ::pthread_sigmask(SIG_SETMASK, &call.signals, nullptr);
  call.result = (*call.work)();
  return nullptr;
}

class ThreadAttributes {
 public:
  ThreadAttributes() {
    ::pthread_attr_init(&attributes_);
    ::pthread_attr_setstacksize(&attributes_, kStackBytes);
  }
  ~ThreadAttributes() { ::pthread_attr_destroy(&attributes_); }
  ThreadAttributes(const ThreadAttributes&) = delete;
  ThreadAttributes& operator=(const ThreadAttributes&) = delete;
  [[nodiscard]] const pthread_attr_t* get() const noexcept { return &attributes_; }

 private:
  pthread_attr_t attributes_{};
};

}  // namespace

int with_enough_stack(const std::function<int()>& work) {
  if (!stack_is_small()) return work();
  const ThreadAttributes attributes;
#ifdef __GLIBC__
  ::pthread_setattr_default_np(attributes.get());  // otherwise threads get the limit as their stack size (glibc only)
#endif
  Call call{&work, {}};
  sigset_t all;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &call.signals);
  pthread_t thread{};
  const int error = ::pthread_create(&thread, attributes.get(), answer, &call);
  if (error == 0) ::pthread_join(thread, nullptr);
  ::pthread_sigmask(SIG_SETMASK, &call.signals, nullptr);
  if (error != 0)
    throw DeviceError(
        fmt::format("the stack is too small (ulimit -s), and no thread with a stack of {} MB could be started: {}",
                    kStackBytes >> 20U, system_message(error)));
  return call.result;
}

}  // namespace ane
