#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ane/device/forwarding.h"

/// Injects faults so that tests can check how a run handles a misbehaving device.
namespace ane::test {

enum class FaultKind {
  fail,   ///< the compile or run fails with a DeviceError
  nan,    ///< the run's outputs begin with a NaN
  huge,   ///< the run's outputs begin with a magnitude beyond the engine's sums (ane.md N2); fp32's largest in fp32
  delay,  ///< the compile or run takes longer
  await,  ///< the run waits until a compile has begun, or vice versa, and fails if none does: they overlap
};

struct Fault {
  enum class Event { compile, run, open };

  Event event = Event::compile;
  std::optional<std::int64_t> count{};  ///< 1-based index within the process; none: each
  std::optional<std::int64_t>
      process{};  ///< 1-based index of the process in the run (a re-execution starts the next); none: each
  FaultKind kind = FaultKind::fail;
  std::chrono::milliseconds delay{0};
  std::int64_t awaited = 0;  ///< 1-based index of the compile or run within the process
};

struct FaultPlan {
  std::vector<Fault> faults;
  std::optional<std::int64_t> budget{};  ///< later compiles of a process fail, as if the compiler allowed no more
};

/// Parses comma-separated entries: `compile:3` fails the third compile of every process, `run:17@2` the seventeenth run
/// of the second process, `run:*=nan` poisons every run; other actions are `=huge`, `=delay:20ms`, `=await:12` and
/// `=fail` (the default); `open:1@3` is a device that the third process cannot open; `budget:40` makes compiles fail
/// after the fortieth. Throws UsageError naming the entry and the allowed values.
[[nodiscard]] FaultPlan parse_faults(std::string_view text);

/// A device that forwards everything except for the planned faults.
class FaultDevice final : public device::ForwardingDevice {
 public:
  /// `process`: 1-based index of this process within the run. Throws DeviceError if that is planned.
  FaultDevice(std::unique_ptr<device::Device> device, FaultPlan plan, std::int64_t process);
  ~FaultDevice() override;

  [[nodiscard]] std::unique_ptr<device::Kernel> compile(std::string_view label, std::string_view mil_text,
                                                        const mil::Blobs& weights) override;

 private:
  friend class FaultKernel;
  [[nodiscard]] const Fault* planned(Fault::Event event, std::int64_t count) const;

  FaultPlan plan_;
  std::int64_t process_;
  std::atomic<std::int64_t> compiles_ = 0;
  std::atomic<std::int64_t> runs_ = 0;
};

}  // namespace ane::test
