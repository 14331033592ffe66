#pragma once

#include <functional>
#include <iosfwd>
#include <optional>
#include <span>
#include <string>

#include "ane/device/apple/library_paths.h"

/// A worker: a process that compiles programs for a trainer (WorkerOptions). For each program, the trainer writes the
/// files that Apple's compiler reads. It also claims the program, which keeps other processes from purging it. Then it
/// sends the program's identifier as a line. The worker answers with a line: kCompiled, or the reason why the compiler
/// refused the program.
namespace ane::device::apple {

/// Internal environment variable of a worker: the quality of service of its compiles.
inline constexpr const char* kWorkerVariable = "ANE_TRAIN_COMPILE_WORKER";

/// The variable's value; nullopt if this process is no worker. Throws UsageError if it is malformed.
[[nodiscard]] std::optional<unsigned> find_worker_request(std::span<const std::string> environment);

inline constexpr const char* kCompiled = "compiled";

/// Serves the lines of `requests` until they end. A compiled program stays in the daemon's cache as long as the trainer
/// claims it, and is purged if the trainer has ended. Throws DeviceError like AneDevice.
void compile_for_trainer(unsigned qos, std::istream& requests, const std::function<void(const std::string&)>& answer,
                         const LibraryPaths& paths = standard_libraries());

}  // namespace ane::device::apple
