#pragma once

#include <cstddef>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/// The result of `body` in a child process that can have `bytes` of address space. macOS does not enforce this limit.
template <class Body>
[[nodiscard]] bool in_limited_process(std::size_t bytes, Body&& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    const rlimit limit{bytes, bytes};
    ::_exit(::setrlimit(RLIMIT_AS, &limit) == 0 && body() ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
