#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ane/device/device.h"

#include "statistics.h"

namespace ane::bench {

/// One call of a kernel or of the compiler.
struct Call {
  std::string kernel;    ///< its kind: "ffn_bwd"
  std::size_t copy = 0;  ///< which of that kind, in the order of their compilation since the log was cleared
  Duration time{};
};

/// A device that passes everything on and notes how long it takes.
class TimingDevice final : public device::Device {
 public:
  /// `name_of`: a kernel's kind from its text.
  using NameOf = std::function<std::string(std::string_view)>;
  explicit TimingDevice(std::unique_ptr<device::Device> device) : device_(std::move(device)) {}
  void set_names(NameOf name_of) { name_of_ = std::move(name_of); }

  [[nodiscard]] std::string_view name() const override { return device_->name(); }
  [[nodiscard]] std::string description() const override { return device_->description(); }
  [[nodiscard]] std::vector<mil::Diagnostic> check(const mil::Program& program) const override {
    return device_->check(program);
  }
  [[nodiscard]] std::unique_ptr<device::Kernel> compile(std::string_view mil_text, const mil::Blobs& weights) override;
  [[nodiscard]] surface::Allocator& surface_allocator() override { return device_->surface_allocator(); }
  [[nodiscard]] bool shares_cpu() const noexcept override { return device_->shares_cpu(); }

  [[nodiscard]] std::vector<Call> take_runs() { return std::exchange(runs_, {}); }
  /// Also starts the numbering of copies again.
  [[nodiscard]] std::vector<Call> take_compiles();
  /// Copy 0 of every kind that is compiled now.
  [[nodiscard]] const std::map<std::string, device::Kernel*>& kernels() const noexcept { return kernels_; }

 private:
  class TimedKernel;

  std::unique_ptr<device::Device> device_;
  NameOf name_of_;
  std::vector<Call> runs_;
  std::vector<Call> compiles_;
  std::map<std::string, std::size_t> copies_;
  std::map<std::string, device::Kernel*> kernels_;
};

}  // namespace ane::bench
