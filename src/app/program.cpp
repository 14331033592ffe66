#include "ane/app/program.h"

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
#include "ane/app/signals.h"
#include "ane/cli/terminal.h"
#include "ane/core/error.h"
#include "ane/core/memory_reserve.h"
#include "ane/core/stack.h"
#include "ane/distributed/rank_process.h"
#include "ane/mil/text.h"
#include "ane/text/printable.h"
#include "ane/train/clock.h"

extern char** environ;  // NOLINT: POSIX declares it so

namespace ane::app {
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
  std::string source = "ane-train: ";
  if (const int rank = distributed::launched_rank(); rank > 0) {  // a trainer does not count as one
    distributed::let_first_rank_report();
    source += fmt::format("rank {}: ", rank);
  }
  std::fflush(stdout);
  cli::write_to_stderr(fmt::format("{}{}\n", source, text::printable(message)));  // it can quote a file
  return code;
}

/// The only place where an error becomes an exit code.
int run_and_report(char** argv, const DeviceWrapper& wrap_device, explore::Clock* clock) try {
  ensure_memory_reserve();
  return run_command({strings_of(argv), strings_of(environ), train::monotonic_ns(), wrap_device, clock});
} catch (const Stopped& stopped) {
  cli::Terminal().info(fmt::format("stopped by signal {}; nothing was written", stopped.signal));
  return kSignalExit + stopped.signal;
} catch (const UsageError& error) {
  return fail(kUsage, error.what());
} catch (const FileError& error) {
  return fail(kFile, error.what());
} catch (const std::filesystem::filesystem_error& error) {
  return fail(kFile, error.what());
} catch (const mil::ParseError& error) {
  return fail(kFile, error.what());
} catch (const DeviceError& error) {
  return fail(kDevice, error.what());
} catch (const DivergedError& error) {
  return fail(kDiverged, error.what());
} catch (const std::bad_alloc&) {
  return fail(
      kDevice,
      "out of memory: try a smaller model, a shorter sequence or fewer --threads; --dry-run shows how much is needed");
} catch (const std::exception& error) {
  return fail(kInternal, error.what());
}

}  // namespace

int run_program(char** argv, const DeviceWrapper& wrap_device, explore::Clock* clock) try {
  open_closed_streams();
  return with_enough_stack([&] { return run_and_report(argv, wrap_device, clock); });
} catch (const DeviceError& error) {
  return fail(kDevice, error.what());
}

}  // namespace ane::app
