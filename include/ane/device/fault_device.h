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

/// Faults on purpose, so that tests can show what becomes of a run when its device misbehaves.
namespace ane::device {

enum class FaultKind {
  fail,   ///< the compile or run fails, as a device would say it
  nan,    ///< the run's outputs begin with a NaN
  huge,   ///< the run's outputs begin with a magnitude beyond the engine's sums (ane.md N2); fp32's largest in fp32
  delay,  ///< the compile or run takes longer
  await,  ///< the run waits until a compile has begun, or the reverse, and fails if none does: they go side by side
};

struct Fault {
  enum class Event { compile, run };

  Event event = Event::compile;
  std::optional<std::int64_t> count{};  ///< the how-manieth of a process, from 1; none: each
  std::optional<std::int64_t>
      process{};  ///< of which process of a run, from 1 (a re-execution starts the next); none: each
  FaultKind kind = FaultKind::fail;
  std::chrono::milliseconds delay{0};
  std::int64_t awaited = 0;  ///< the how-manieth compile or run of the process
};

struct FaultPlan {
  std::vector<Fault> faults;
  std::optional<std::int64_t> budget{};  ///< a process's later compiles fail, as if the compiler allowed no more
};

/// Entries with commas between: `compile:3` fails the third compile of every process, `run:17@2` the seventeenth run of
/// the second process, `run:*=nan` poisons every run; further `=huge`, `=delay:20ms`, `=await:12`, `=fail` (the
/// default); `budget:40` lets the compiler fail after 40 compiles. Throws UsageError naming the entry and what it may
/// be.
[[nodiscard]] FaultPlan parse_faults(std::string_view text);

/// A device that passes everything on, but for the faults that are planned.
class FaultDevice final : public ForwardingDevice {
 public:
  /// `process` counts the processes of the run, this one included.
  FaultDevice(std::unique_ptr<Device> device, FaultPlan plan, std::int64_t process);
  ~FaultDevice() override;

  [[nodiscard]] std::unique_ptr<Kernel> compile(std::string_view mil_text, const mil::Blobs& weights) override;

 private:
  friend class FaultKernel;
  [[nodiscard]] const Fault* planned(Fault::Event event, std::int64_t count) const;

  FaultPlan plan_;
  std::int64_t process_;
  std::atomic<std::int64_t> compiles_ = 0;
  std::atomic<std::int64_t> runs_ = 0;
};

}  // namespace ane::device
