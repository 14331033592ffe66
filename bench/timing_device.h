#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "ane/device/forwarding.h"

#include "statistics.h"

namespace ane::bench {

/// One call of a kernel or of the compiler.
struct Call {
  std::string kernel;    ///< its name: "ffn_bwd"
  std::size_t copy = 0;  ///< index among kernels of that name, in order of compilation since the log was cleared
  Duration time{};
};

/// A device that forwards everything and records the times.
class TimingDevice final : public device::ForwardingDevice {
 public:
  using ForwardingDevice::ForwardingDevice;

  [[nodiscard]] std::unique_ptr<device::Kernel> compile(std::string_view label, std::string_view mil_text,
                                                        const mil::Blobs& weights) override;

  [[nodiscard]] std::vector<Call> take_runs() { return std::exchange(runs_, {}); }
  /// Also restarts the numbering of copies.
  [[nodiscard]] std::vector<Call> take_compiles();
  /// Copy 0 of every kernel that is compiled now.
  [[nodiscard]] const std::map<std::string, device::Kernel*>& kernels() const noexcept { return kernels_; }

 private:
  class TimedKernel;

  std::mutex mutex_;  ///< protects runs_: kernels may run concurrently
  std::vector<Call> runs_;
  std::vector<Call> compiles_;
  std::map<std::string, std::size_t> copies_;
  std::map<std::string, device::Kernel*> kernels_;
};

}  // namespace ane::bench
