#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "ane/device/apple/ane_device.h"

namespace ane::device::apple {

/// Why a worker did not compile a program.
struct WorkerFault {
  std::string reason;
  bool is_refusal = false;  ///< the compiler refused the program, so this process should not try it, too
};

/// Which worker compiles a program: any, or a new process that has compiled nothing yet.
enum class WorkerAge { any, fresh };

/// The worker processes of a device. Each compiles one program at a time; workers are started when they are needed and
/// end after so many compiles as a process may make. May be used by several threads.
class CompileWorkers {
 public:
  CompileWorkers(const WorkerOptions& options, unsigned qos);
  /// Ends the workers.
  ~CompileWorkers();
  CompileWorkers(const CompileWorkers&) = delete;
  CompileWorkers& operator=(const CompileWorkers&) = delete;

  /// Lets a worker compile the program with this identifier, whose files exist and which this process claims. Waits
  /// until one is free. A worker that fails in any way is ended: the next program gets a new one. Throws
  /// CompileStopped.
  [[nodiscard]] std::optional<WorkerFault> compile(const std::string& identifier, WorkerAge age = WorkerAge::any);

 private:
  class Worker;
  class Lease;

  WorkerOptions options_;
  std::mutex mutex_;
  std::condition_variable returned_;
  int busy_ = 0;
  std::vector<std::unique_ptr<Worker>> idle_;
};

}  // namespace ane::device::apple
