#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "ane/device/device.h"
#include "ane/surface/surface.h"

namespace cli_test {

/// A device that limits compiles and has a rule that inputs must not be wide.
class NarrowDevice final : public ane::device::Device {
 public:
  explicit NarrowDevice(ane::mil::Severity severity) : severity_(severity) {}

  [[nodiscard]] std::string_view name() const override { return "narrow"; }
  [[nodiscard]] std::string description() const override { return "a device for tests"; }
  [[nodiscard]] std::vector<ane::mil::Diagnostic> check(const ane::mil::Program& program) const override {
    const ane::mil::Function& main = program.main();
    if (main.value(main.inputs.front()).type.shape.back() <= kActivationsOnly) return {};
    return {{"A99", severity_, "input 'x'", "it is wide", "narrow it"}};
  }
  [[nodiscard]] std::unique_ptr<ane::device::Kernel> compile(std::string_view, std::string_view,
                                                             const ane::mil::Blobs&) override {
    throw ane::device::CompileError("this device compiles nothing");
  }
  [[nodiscard]] ane::surface::Allocator& surface_allocator() override { return allocator_; }
  [[nodiscard]] bool shares_cpu() const noexcept override { return false; }
  [[nodiscard]] bool limits_compiles() const noexcept override { return true; }

 private:
  static constexpr std::int64_t kActivationsOnly = 64;  ///< columns without weights beside the activations

  ane::mil::Severity severity_;
  ane::surface::HeapAllocator allocator_;
};

}  // namespace cli_test
