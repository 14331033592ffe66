#include <cstdio>
#include <exception>
#include <filesystem>
#include <new>
#include <string>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "ane/app/commands.h"
#include "ane/cli/terminal.h"
#include "ane/core/error.h"
#include "ane/core/memory_reserve.h"
#include "ane/core/stack.h"
#include "ane/mil/text.h"

extern char** environ;  // NOLINT: POSIX declares it so

namespace {

enum ExitCode : int { kUsage = 2, kFile = 3, kDevice = 4, kDiverged = 5, kInternal = 70 };

std::vector<std::string> strings_of(char** words) {
  std::vector<std::string> strings;
  for (; *words != nullptr; ++words) strings.emplace_back(*words);
  return strings;
}

/// Otherwise the first opened file gets the descriptor of a closed stream, and printed text ends up in it.
void open_closed_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(stream, F_GETFD) < 0)
      static_cast<void>(::open("/dev/null", O_RDWR));  // gets the lowest free descriptor
  }
}

int fail(ExitCode code, const char* message) {
  std::fflush(stdout);
  ane::cli::write_to_stderr(fmt::format("ane-train: {}\n", message));
  return code;
}

/// The only place where an error becomes an exit code.
int run_and_report(char** argv) try {
  ane::ensure_memory_reserve();
  return ane::app::run_command(strings_of(argv), strings_of(environ));
} catch (const ane::UsageError& error) {
  return fail(kUsage, error.what());
} catch (const ane::FileError& error) {
  return fail(kFile, error.what());
} catch (const std::filesystem::filesystem_error& error) {
  return fail(kFile, error.what());
} catch (const ane::mil::ParseError& error) {
  return fail(kFile, error.what());
} catch (const ane::DeviceError& error) {
  return fail(kDevice, error.what());
} catch (const ane::DivergedError& error) {
  return fail(kDiverged, error.what());
} catch (const std::bad_alloc&) {
  return fail(
      kDevice,
      "out of memory: try a smaller model, a shorter sequence or fewer --threads; --dry-run shows how much is needed");
} catch (const std::exception& error) {
  return fail(kInternal, error.what());
}

}  // namespace

int main(int /*argc*/, char** argv) try {
  open_closed_streams();
  return ane::with_enough_stack([&] { return run_and_report(argv); });
} catch (const ane::DeviceError& error) {
  return fail(kDevice, error.what());
}
