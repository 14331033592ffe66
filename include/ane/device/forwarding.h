#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ane/device/device.h"

namespace ane::device {

/// A kernel that forwards everything to another. Derive from it and override what differs.
class ForwardingKernel : public Kernel {
 public:
  explicit ForwardingKernel(std::unique_ptr<Kernel> kernel) : kernel_(std::move(kernel)) {}

  [[nodiscard]] std::span<const Port> inputs() const override { return kernel_->inputs(); }
  [[nodiscard]] std::span<const Port> outputs() const override { return kernel_->outputs(); }
  void run(std::span<surface::Surface* const> inputs, std::span<surface::Surface* const> outputs) override {
    kernel_->run(inputs, outputs);
  }

 private:
  std::unique_ptr<Kernel> kernel_;
};

/// A device that forwards everything to another. Derive from it and override what differs.
class ForwardingDevice : public Device {
 public:
  explicit ForwardingDevice(std::unique_ptr<Device> device) : owned_(std::move(device)), device_(owned_.get()) {}
  /// `device` must outlive this.
  explicit ForwardingDevice(Device& device) : device_(&device) {}

  [[nodiscard]] std::string_view name() const override { return device_->name(); }
  [[nodiscard]] std::string description() const override { return device_->description(); }
  [[nodiscard]] std::vector<mil::Diagnostic> check(const mil::Program& program) const override {
    return device_->check(program);
  }
  [[nodiscard]] std::unique_ptr<Kernel> compile(std::string_view label, std::string_view mil_text,
                                                const mil::Blobs& weights) override {
    return device_->compile(label, mil_text, weights);
  }
  void release_spare_memory() noexcept override { device_->release_spare_memory(); }
  [[nodiscard]] surface::Allocator& surface_allocator() override { return device_->surface_allocator(); }
  [[nodiscard]] bool shares_cpu() const noexcept override { return device_->shares_cpu(); }
  [[nodiscard]] bool limits_compiles() const noexcept override { return device_->limits_compiles(); }
  [[nodiscard]] int compile_workers() const noexcept override { return device_->compile_workers(); }
  [[nodiscard]] std::int64_t compiled_by_workers() const noexcept override { return device_->compiled_by_workers(); }
  [[nodiscard]] DeviceLimits limits() const noexcept override { return device_->limits(); }
  [[nodiscard]] bool approximates() const noexcept override { return device_->approximates(); }
  [[nodiscard]] std::optional<double> peak_tflops() const noexcept override { return device_->peak_tflops(); }
  [[nodiscard]] std::string warning() const override { return device_->warning(); }

 private:
  std::unique_ptr<Device> owned_;
  Device* device_;
};

}  // namespace ane::device
