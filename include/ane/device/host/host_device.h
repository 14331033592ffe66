#pragma once

#include <memory>

#include "ane/device/device.h"
#include "ane/math/threads.h"

namespace ane::device::host {

/// Threads that a host device uses for one run of a kernel: all of its pool, or only the calling one, so that several
/// threads can run kernels at once.
enum class RunThreads : bool { all, one };

/// Compiles and runs MIL on the CPU. A stored fp16 tensor holds fp16 values (rounded to nearest even); convolutions,
/// products and reductions accumulate in fp32. Results depend only on the program, the inputs and the number of threads
/// per run.
class HostDevice final : public Device {
 public:
  /// The pool must outlive the device and its kernels.
  explicit HostDevice(math::ThreadPool& threads, RunThreads run_threads = RunThreads::all);
  ~HostDevice() override;

  [[nodiscard]] std::string_view name() const override { return "host"; }
  [[nodiscard]] std::string description() const override;
  [[nodiscard]] std::vector<mil::Diagnostic> check(const mil::Program& program) const override;
  /// The execution plan is cached by the text: recompiling with new weights only converts the weights.
  [[nodiscard]] std::unique_ptr<Kernel> compile(std::string_view label, std::string_view mil_text,
                                                const mil::Blobs& weights) override;
  void release_spare_memory() noexcept override;
  [[nodiscard]] surface::Allocator& surface_allocator() override { return allocator_; }
  [[nodiscard]] bool shares_cpu() const noexcept override { return true; }

 private:
  struct State;
  surface::HeapAllocator allocator_;
  std::unique_ptr<State> state_;
};

}  // namespace ane::device::host
