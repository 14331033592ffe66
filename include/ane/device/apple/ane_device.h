#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ane/device/apple/library_paths.h"
#include "ane/device/device.h"

namespace ane::device::apple {

/// Rules of mil::ane_rules() by ID that were found to apply on this machine (true) or not (false), whatever its chip.
using RuleOverrides = std::map<std::string, bool, std::less<>>;

/// Processes that compile in place of this one, which then only loads what is in the daemon's cache (ane.md L6, L7).
struct WorkerOptions {
  int count = 0;  ///< at the same time; 0: this process compiles
  /// The largest number of compiles of a worker, which is then replaced, and of this process when workers fail.
  int compiles = CompileBudget::kDefault;
  /// Must be this executable, because the cache belongs to its code signature (ane.md L8), and must call
  /// compile_for_trainer() if find_worker_request() finds a request.
  std::string executable;
  std::vector<std::string> environment;                            ///< "NAME=value" entries
  std::chrono::nanoseconds time_limit = std::chrono::minutes(10);  ///< of a compile
  const std::atomic<bool>* stop = nullptr;  ///< once it is true, compiles throw CompileStopped; may be null
};

/// Options for calling Apple's framework. The defaults are those of other trainers (ane.md 1.2, 1.7).
struct AneOptions {
  unsigned qos = 21;
  std::map<std::string, bool> load_options;  ///< such as kANEFKeepModelMemoryWiredKey
  /// Purge a program from the daemon's cache after unloading it; otherwise each update leaves its weights there.
  bool purge_cached = true;
  bool compare_attributes = true;  ///< compare the compiled program's description with our bindings
  /// Called for each difference; without it a difference is an error.
  std::function<void(const std::string& difference)> on_difference;

  /// A load fails while the memory of a recently unloaded program has not been reclaimed yet.
  int load_retries = 1;
  std::chrono::milliseconds load_wait{100};
  /// A request that arrives during a power transition of the ANE is cancelled without running (status 0x12).
  int cancel_retries = 8;
  std::chrono::milliseconds cancel_wait{3};

  DeviceLimits limits = {};
  RuleOverrides rules = {};
  WorkerOptions workers = {};
};

/// Counts what the bridge has done in this process, for reports and for failures that cannot be thrown.
struct AneCounters {
  int compiles = 0;  ///< calls of the compiler, including failed ones
  int compiled_by_workers = 0;
  int failed_workers = 0;           ///< workers that were replaced because they failed
  int in_place_of_workers = 0;      ///< those of `compiles` that were made because workers failed repeatedly
  std::string last_worker_failure;  ///< reason of the last replacement
  int shared = 0;                   ///< compilations served by a loaded program of equal text and weights
  int load_retries = 0;
  int cancel_retries = 0;
  int requests = 0;  ///< requests built, each reused from then on
  int purges = 0;    ///< programs purged from the daemon's cache, including those of dead processes
  int failed_unloads = 0;
  int failed_purges = 0;     ///< programs that stay in the daemon's cache until a later device purges them
  std::string last_failure;  ///< reason of the last failed unload or purge
};

/// The Apple Neural Engine through AppleNeuralEngine.framework, looked up at run time.
///
/// Refuses a program that breaks a rule of the ANE with severity refusal or wrong_result, with a CompileError that
/// lists all violations. Every DeviceError keeps the system's message. Kernels of equal text and weights share one
/// loaded program. Compilations of this process and unloads run one at a time.
///
/// Programs stay in the daemon's cache after a process ends. The programs of each process are recorded beside the
/// directories in which the compiler reads programs; the next device purges those that are recorded but no longer in
/// use. A record stays until its program is purged.
class AneDevice final : public Device {
 public:
  /// Throws DeviceError naming each library, class, method or function that is missing, or if there is no ANE.
  explicit AneDevice(AneOptions options = {}, const LibraryPaths& paths = standard_libraries());
  ~AneDevice() override;

  [[nodiscard]] std::string_view name() const override { return "ane"; }
  [[nodiscard]] std::string description() const override;
  [[nodiscard]] std::vector<mil::Diagnostic> check(const mil::Program& program) const override;
  [[nodiscard]] std::unique_ptr<Kernel> compile(std::string_view label, std::string_view mil_text,
                                                const mil::Blobs& weights) override;
  /// Surfaces are IOSurfaces; only these can be bound to kernels.
  [[nodiscard]] surface::Allocator& surface_allocator() override;
  [[nodiscard]] bool shares_cpu() const noexcept override { return false; }
  [[nodiscard]] bool limits_compiles() const noexcept override { return true; }
  [[nodiscard]] int compile_workers() const noexcept override;
  [[nodiscard]] std::int64_t compiled_by_workers() const noexcept override;
  /// With workers there is no limit of compiles.
  [[nodiscard]] DeviceLimits limits() const noexcept override;
  [[nodiscard]] bool approximates() const noexcept override { return true; }
  /// The value that the field's drivers use.
  [[nodiscard]] std::optional<double> peak_tflops() const noexcept override { return 15.8; }
  /// Reports failed workers, failed unloads and purges, or that this system does not support purging.
  [[nodiscard]] std::string warning() const override;

  [[nodiscard]] AneCounters counters() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ane::device::apple
