#include "faults/fault_device.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <limits>
#include <span>
#include <system_error>
#include <thread>
#include <utility>

#include <fmt/format.h>

namespace ane::test {
namespace {

constexpr std::string_view kForms =
    "compile:K, run:K or open:K with a 1-based index or *, then @PROCESS for a single process, then =nan, =huge "
    "(runs), =await:N (the other's Nth), =delay:20ms or =fail; or budget:N";

/// Bits that are written to the beginning of an output.
constexpr std::uint16_t kHalfNan = 0x7E00;
constexpr std::uint16_t kHalfHuge = 0x78E2;  // 40000, beyond 2^15

class EntryParser {
 public:
  explicit EntryParser(std::string_view entry) : entry_(entry), rest_(entry) {}

  void parse_into(FaultPlan& plan) {
    if (take("budget:")) {
      if (plan.budget) refuse();
      plan.budget = number();
    } else {
      plan.faults.push_back(fault());
    }
    if (!rest_.empty()) refuse();
  }

 private:
  [[noreturn]] void refuse() const { throw UsageError(fmt::format("fault '{}' is not {}", entry_, kForms)); }

  bool take(std::string_view word) {
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }

  std::int64_t number() {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (error != std::errc() || value < 1) refuse();
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    return value;
  }

  Fault fault() {
    Fault fault;
    if (take("run:")) {
      fault.event = Fault::Event::run;
    } else if (take("open:")) {
      fault.event = Fault::Event::open;
    } else if (!take("compile:")) {
      refuse();
    }
    if (!take("*")) fault.count = number();
    if (take("@")) fault.process = number();
    if (take("=")) parse_kind(fault);
    return fault;
  }

  void parse_kind(Fault& fault) {
    constexpr std::int64_t kLongestDelay = std::int64_t{3600} * 1000;
    const bool is_run = fault.event == Fault::Event::run;
    if (take("delay:")) {
      fault.kind = FaultKind::delay;
      fault.delay = std::chrono::milliseconds(std::min(number(), kLongestDelay));
      if (!take("ms")) refuse();
    } else if (take("await:")) {
      fault.kind = FaultKind::await;
      fault.awaited = number();
    } else if (is_run && take("nan")) {
      fault.kind = FaultKind::nan;
    } else if (is_run && take("huge")) {
      fault.kind = FaultKind::huge;
    } else if (!take("fail")) {
      refuse();
    }
  }

  std::string_view entry_;
  std::string_view rest_;
};

template <class Bits>
void write_first(surface::Surface& surface, Bits value) {
  const auto mapping = surface.map_for_write();
  std::memcpy(mapping.bytes().data(), &value, sizeof value);
}

void poison(const device::Port& port, FaultKind kind, surface::Surface& surface) {
  const bool is_nan = kind == FaultKind::nan;
  if (port.type.dtype == mil::DType::fp16) write_first(surface, is_nan ? kHalfNan : kHalfHuge);
  if (port.type.dtype != mil::DType::fp32) return;
  write_first(surface, is_nan ? std::numeric_limits<float>::quiet_NaN() : std::numeric_limits<float>::max());
}

void await(std::string_view event, const std::atomic<std::int64_t>& counted, std::int64_t count) {
  constexpr auto kPause = std::chrono::milliseconds(1);
  constexpr auto kPatience = std::chrono::seconds(30);
  const auto begin = std::chrono::steady_clock::now();
  while (counted < count) {
    if (std::chrono::steady_clock::now() - begin > kPatience)
      throw DeviceError(fmt::format("{} {} of this process was awaited as planned but did not begin", event, count));
    std::this_thread::sleep_for(kPause);
  }
}

}  // namespace

FaultPlan parse_faults(std::string_view text) {
  FaultPlan plan;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    EntryParser(text.substr(begin, end - begin)).parse_into(plan);
    begin = end + 1;
  }
  return plan;
}

class FaultKernel final : public device::ForwardingKernel {
 public:
  FaultKernel(std::unique_ptr<device::Kernel> kernel, FaultDevice& device)
      : device::ForwardingKernel(std::move(kernel)), device_(&device) {}

  void run(std::span<surface::Surface* const> inputs, std::span<surface::Surface* const> outputs) override {
    const std::int64_t count = ++device_->runs_;
    const Fault* const fault = device_->planned(Fault::Event::run, count);
    if (fault != nullptr && fault->kind == FaultKind::fail) {
      throw DeviceError(fmt::format("run {} of this process fails as planned", count));
    }
    if (fault != nullptr) std::this_thread::sleep_for(fault->delay);
    if (fault != nullptr && fault->kind == FaultKind::await) await("compile", device_->compiles_, fault->awaited);
    device::ForwardingKernel::run(inputs, outputs);
    if (fault == nullptr || (fault->kind != FaultKind::nan && fault->kind != FaultKind::huge)) return;
    for (std::size_t i = 0; i < outputs.size(); ++i) poison(this->outputs()[i], fault->kind, *outputs[i]);
  }

 private:
  FaultDevice* device_;
};

FaultDevice::FaultDevice(std::unique_ptr<device::Device> device, FaultPlan plan, std::int64_t process)
    : device::ForwardingDevice(std::move(device)), plan_(std::move(plan)), process_(process) {
  if (planned(Fault::Event::open, 1) != nullptr) throw DeviceError("the device does not open, as planned");
}

FaultDevice::~FaultDevice() = default;

const Fault* FaultDevice::planned(Fault::Event event, std::int64_t count) const {
  const auto found = std::find_if(plan_.faults.begin(), plan_.faults.end(), [&](const Fault& fault) {
    return fault.event == event && fault.count.value_or(count) == count && fault.process.value_or(process_) == process_;
  });
  return found == plan_.faults.end() ? nullptr : &*found;
}

std::unique_ptr<device::Kernel> FaultDevice::compile(std::string_view label, std::string_view mil_text,
                                                     const mil::Blobs& weights) {
  const std::int64_t count = ++compiles_;
  if (plan_.budget && count > *plan_.budget) {
    throw device::CompileError(
        fmt::format("compile {} of this process fails as planned: {} were allowed", count, *plan_.budget));
  }
  if (const Fault* const fault = planned(Fault::Event::compile, count)) {
    if (fault->kind == FaultKind::fail) {
      throw device::CompileError(fmt::format("compile {} of this process fails as planned", count));
    }
    std::this_thread::sleep_for(fault->delay);
    if (fault->kind == FaultKind::await) await("run", runs_, fault->awaited);
  }
  return std::make_unique<FaultKernel>(device::ForwardingDevice::compile(label, mil_text, weights), *this);
}

}  // namespace ane::test
