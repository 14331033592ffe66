#pragma once

#include <cstddef>
#include <functional>
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
  std::string kernel;    ///< its kind: "ffn_bwd"
  std::size_t copy = 0;  ///< which of that kind, in the order of their compilation since the log was cleared
  Duration time{};
};

/// A device that passes everything on and notes how long it takes.
class TimingDevice final : public device::ForwardingDevice {
 public:
  /// `name_of`: a kernel's kind from its text.
  using NameOf = std::function<std::string(std::string_view)>;
  using ForwardingDevice::ForwardingDevice;
  void set_names(NameOf name_of) { name_of_ = std::move(name_of); }

  [[nodiscard]] std::unique_ptr<device::Kernel> compile(std::string_view mil_text, const mil::Blobs& weights) override;

  [[nodiscard]] std::vector<Call> take_runs() { return std::exchange(runs_, {}); }
  /// Also starts the numbering of copies again.
  [[nodiscard]] std::vector<Call> take_compiles();
  /// Copy 0 of every kind that is compiled now.
  [[nodiscard]] const std::map<std::string, device::Kernel*>& kernels() const noexcept { return kernels_; }

 private:
  class TimedKernel;

  NameOf name_of_;
  std::mutex mutex_;  ///< of runs_: kernels may run side by side
  std::vector<Call> runs_;
  std::vector<Call> compiles_;
  std::map<std::string, std::size_t> copies_;
  std::map<std::string, device::Kernel*> kernels_;
};

}  // namespace ane::bench
