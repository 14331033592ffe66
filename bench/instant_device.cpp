#include "instant_device.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "ane/mil/text.h"

namespace ane::bench {
namespace {

std::vector<device::Port> ports(const mil::Function& function, const std::vector<mil::ValueId>& values) {
  std::vector<device::Port> result;
  for (const mil::ValueId id : values) {
    const mil::Value& value = function.value(id);
    result.push_back({value.name, value.type, mil::surface_layout(value.type).size_bytes});
  }
  return result;
}

}  // namespace

class InstantDevice::InstantKernel final : public device::Kernel {
 public:
  explicit InstantKernel(std::shared_ptr<const Ports> ports) : ports_(std::move(ports)) {}
  [[nodiscard]] std::span<const device::Port> inputs() const override { return ports_->inputs; }
  [[nodiscard]] std::span<const device::Port> outputs() const override { return ports_->outputs; }
  void run(std::span<surface::Surface* const>, std::span<surface::Surface* const> outputs) override {
    for (surface::Surface* const output : outputs) std::ranges::fill(output->map_for_write().bytes(), std::byte{});
  }

 private:
  std::shared_ptr<const Ports> ports_;
};

std::unique_ptr<device::Kernel> InstantDevice::compile(std::string_view /*label*/, std::string_view mil_text,
                                                       const mil::Blobs& /*weights*/) {
  auto known = known_.find(mil_text);
  if (known == known_.end()) {
    const mil::Program program = mil::parse(mil_text);
    const mil::Function& function = program.main();
    auto made = std::make_shared<const Ports>(
        Ports{.inputs = ports(function, function.inputs), .outputs = ports(function, function.outputs)});
    known = known_.emplace(mil_text, std::move(made)).first;
  }
  return std::make_unique<InstantKernel>(known->second);
}

}  // namespace ane::bench
