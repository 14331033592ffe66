#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ane/device/device.h"
#include "ane/surface/surface.h"

namespace ane::bench {

/// A device that returns immediately: kernels only clear their outputs, so the remaining time of a step is the
/// driver's.
class InstantDevice final : public device::Device {
 public:
  [[nodiscard]] std::string_view name() const override { return "instant"; }
  [[nodiscard]] std::string description() const override { return "a device that returns immediately"; }
  [[nodiscard]] std::vector<mil::Diagnostic> check(const mil::Program&) const override { return {}; }
  [[nodiscard]] std::unique_ptr<device::Kernel> compile(std::string_view label, std::string_view mil_text,
                                                        const mil::Blobs& weights) override;
  [[nodiscard]] surface::Allocator& surface_allocator() override { return allocator_; }
  /// Prevents overlap, so that each part can be timed.
  [[nodiscard]] bool shares_cpu() const noexcept override { return true; }

 private:
  struct Ports {
    std::vector<device::Port> inputs, outputs;
  };
  class InstantKernel;

  surface::HeapAllocator allocator_;
  std::map<std::string, std::shared_ptr<const Ports>, std::less<>> known_;  ///< by text
};

}  // namespace ane::bench
