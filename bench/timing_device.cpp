#include "timing_device.h"

#include <utility>

namespace ane::bench {

class TimingDevice::TimedKernel final : public device::ForwardingKernel {
 public:
  TimedKernel(std::unique_ptr<device::Kernel> kernel, Call call, TimingDevice& owner)
      : ForwardingKernel(std::move(kernel)), call_(std::move(call)), owner_(&owner) {
    if (call_.copy == 0) owner_->kernels_[call_.kernel] = this;
  }
  ~TimedKernel() override {
    const auto known = owner_->kernels_.find(call_.kernel);
    if (known != owner_->kernels_.end() && known->second == this) owner_->kernels_.erase(known);
  }
  TimedKernel(const TimedKernel&) = delete;
  TimedKernel& operator=(const TimedKernel&) = delete;

  void run(std::span<surface::Surface* const> inputs, std::span<surface::Surface* const> outputs) override {
    Call call = call_;
    call.time = time_of([&] { ForwardingKernel::run(inputs, outputs); });
    const std::scoped_lock lock(owner_->mutex_);
    owner_->runs_.push_back(std::move(call));
  }

 private:
  Call call_;
  TimingDevice* owner_;
};

std::unique_ptr<device::Kernel> TimingDevice::compile(std::string_view label, std::string_view mil_text,
                                                      const mil::Blobs& weights) {
  Call call{.kernel = std::string(label)};
  call.copy = copies_[call.kernel]++;
  std::unique_ptr<device::Kernel> kernel;
  call.time = time_of([&] { kernel = ForwardingDevice::compile(label, mil_text, weights); });
  compiles_.push_back(call);
  return std::make_unique<TimedKernel>(std::move(kernel), std::move(call), *this);
}

std::vector<Call> TimingDevice::take_compiles() {
  copies_.clear();
  return std::exchange(compiles_, {});
}

}  // namespace ane::bench
