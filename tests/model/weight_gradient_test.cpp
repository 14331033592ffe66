#include "kernels/weight_gradient.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "ane/device/forwarding.h"
#include "ane/mil/text.h"
#include "ane/model/llama.h"

#include "model/rig.h"
#include "support/catch.h"

namespace ane::model {
namespace {

using test::Rig;

/// Runs kernels on the host, but reports that the CPU is free meanwhile, as with a Neural Engine.
class SeparateDevice final : public device::ForwardingDevice {
 public:
  using ForwardingDevice::ForwardingDevice;

  [[nodiscard]] std::unique_ptr<device::Kernel> compile(std::string_view label, std::string_view text,
                                                        const mil::Blobs& weights) override {
    return std::make_unique<Kernel>(ForwardingDevice::compile(label, text, weights), text, *this);
  }
  [[nodiscard]] bool shares_cpu() const noexcept override { return false; }

  /// Called with each kernel's text before it runs.
  std::function<void(std::string_view)> before_run = [](std::string_view) {};

 private:
  class Kernel final : public device::ForwardingKernel {
   public:
    Kernel(std::unique_ptr<device::Kernel> kernel, std::string_view text, SeparateDevice& owner)
        : ForwardingKernel(std::move(kernel)), text_(text), owner_(&owner) {}
    void run(std::span<surface::Surface* const> in, std::span<surface::Surface* const> out) override {
      owner_->before_run(text_);
      ForwardingKernel::run(in, out);
    }

   private:
    std::string text_;
    SeparateDevice* owner_;
  };
};

struct SeparateRig : Rig {
  SeparateDevice separate{device};
  ModelContext beside{separate, surfaces, threads};
};

struct ProductRun {
  std::vector<float> gradients;
  std::vector<double> losses;
  StepTimes times;
};

constexpr ModelConfig kFiveLayers{
    .dim = 32, .hidden = 48, .layers = 5, .heads = 4, .kv_heads = 2, .head_dim = 8, .vocab = 50, .seq_len = 32};

std::vector<float> parameters_of(const Llama& model) {
  std::vector<float> parameters(model.parameters().size());
  model.initialize(parameters, 1);
  for (float& value : parameters) value *= 4;  // from 0.02, so that every gradient matters
  return parameters;
}

data::Sample sample_of(std::size_t number) {
  data::Sample sample;
  for (std::size_t i = 0; i <= kFiveLayers.seq_len; ++i)
    sample.tokens.push_back(static_cast<data::Token>((i * i + number * i + 3) % kFiveLayers.vocab));
  return sample;
}

ProductRun run_of_three_steps(const ModelContext& context) {
  Llama model(kFiveLayers, mil::DType::fp16, context);
  const std::vector<float> parameters = parameters_of(model);
  model.kernels().compile(PassMode::training, parameters);
  ProductRun run{.gradients = std::vector<float>(parameters.size()), .losses = {}, .times = {}};
  for (std::size_t number = 0; number < 3; ++number) {
    const StepResult result = test::step(model, sample_of(number), parameters, 64, run.gradients, run.times);
    REQUIRE_FALSE(result.overflow);
    run.losses.push_back(result.loss);
  }
  return run;
}

TEST_CASE("gradients have the same bits with and without overlap", "[model][overlap]") {
  SeparateRig rig;
  const ProductRun in_line = run_of_three_steps(rig.context);
  CHECK(test::dot(in_line.gradients, in_line.gradients) > 0);
  CHECK(in_line.times.blas_wait.count() == 0);
  for (int repeat = 0; repeat < 5; ++repeat) {  // thread timing varies
    const ProductRun beside = run_of_three_steps(rig.beside);
    CHECK(beside.gradients == in_line.gradients);
    CHECK(beside.losses == in_line.losses);
    CHECK(beside.times.blas_wait.count() > 0);
  }
}

/// Counts finished products.
class ProductCounter final : public SpanListener {
 public:
  void on_span(std::string_view name, Clock::time_point /*begin*/, Clock::time_point /*end*/) noexcept override {
    if (name != "weight gradient") return;
    const std::lock_guard lock(mutex_);
    ++done_;
    changed_.notify_all();
  }
  /// Gives up after a time longer than any product takes.
  void wait_for(int products) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, std::chrono::seconds(30), [&] { return done_ >= products; }))
      throw DeviceError(fmt::format("the device waits for {} products, but only {} were done", products, done_));
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int done_ = 0;
};

TEST_CASE("a step finishes on a device whose kernels wait for all previous products", "[model][overlap]") {
  SeparateRig rig;
  const ProductRun in_line = run_of_three_steps(rig.context);
  ProductCounter products;
  rig.beside.spans = &products;
  std::map<std::string, std::string, std::less<>> names;
  for (const KernelInfo& kernel : Llama(kFiveLayers, mil::DType::fp16, rig.context).kernels().infos())
    names.emplace(mil::print(kernel.program), kernel.name);

  // A step adds the classifier's product, and in each layer three after ffn_bwd and four after the attention's kernels.
  constexpr auto kLayerCount = static_cast<int>(kFiveLayers.layers);
  int added = 0;
  int layers = 0;
  std::string last;
  rig.separate.before_run = [&](std::string_view text) {
    const std::string& name = names.find(text)->second;
    if (last == "ffn_bwd") added += 3;
    if (name == "ffn_bwd") {
      added = 1 + layers / kLayerCount + 7 * layers;
      ++layers;
    }
    last = name;
    products.wait_for(added);
  };
  const ProductRun beside = run_of_three_steps(rig.beside);
  CHECK(beside.gradients == in_line.gradients);
  CHECK(beside.losses == in_line.losses);
  CHECK(layers == 3 * kLayerCount);
}

TEST_CASE("products make progress while the device runs a kernel", "[model][overlap]") {
  SeparateRig rig;
  constexpr std::size_t kSize = 64;
  std::vector<float> dy(kSize * kSize, 1);
  std::vector<float> x(kSize * kSize, 2);
  std::vector<float> dw(kSize * kSize, 3);
  const Parameter weight{.name = "w", .shape = {kSize, kSize}, .count = kSize * kSize};
  GradientProducts products(rig.beside);
  REQUIRE(products.run_beside());
  Duration at_once{};
  GradientProducts::Ticket last = 0;
  for (int i = 0; i < 10; ++i) last = products.add(weight_gradient(weight, dy, x, dw), at_once);
  // In place of a kernel: it ends only after all products have. If products waited for it, this would hang.
  while (products.finished() < last) std::this_thread::yield();
  Duration waited{};
  products.wait_all(waited);
  CHECK(at_once.count() == 0);
  CHECK(std::ranges::all_of(dw, [](float value) { return value == 3 + 10 * 2 * static_cast<float>(kSize); }));
}

TEST_CASE("on a device that shares the CPU, products are computed immediately", "[model][overlap]") {
  Rig rig;
  GradientProducts products(rig.context);
  CHECK_FALSE(products.run_beside());
  const std::vector<float> ones(4, 1);
  std::vector<float> dw(4);
  const Parameter weight{.name = "w", .shape = {2, 2}, .count = 4};
  Duration at_once{};
  CHECK(products.add(weight_gradient(weight, ones, ones, dw), at_once) == 0);
  CHECK(dw == std::vector<float>(4, 2));
  CHECK(at_once.count() > 0);
}

TEST_CASE("after a device failure no product accesses the gradients", "[model][overlap]") {
  SeparateRig rig;
  const ProductRun expected = run_of_three_steps(rig.context);
  Llama model(kFiveLayers, mil::DType::fp16, rig.beside);
  const std::vector<float> parameters = parameters_of(model);
  model.kernels().compile(PassMode::training, parameters);
  StepTimes times;
  for (const int runs : {10, 12, 20}) {  // in the backward pass, with products queued
    auto gradients = std::make_unique<std::vector<float>>(parameters.size());
    rig.separate.before_run = [left = runs](std::string_view) mutable {
      if (left-- == 0) throw DeviceError("the device is gone");
    };
    CHECK_THROWS_AS(test::step(model, sample_of(0), parameters, 64, *gradients, times), DeviceError);
    gradients.reset();  // a running product would write to freed memory
    CHECK(rig.surfaces.counters().live == 0);
  }
  rig.separate.before_run = [](std::string_view) {};
  std::vector<float> gradients(parameters.size());
  for (std::size_t number = 0; number < 3; ++number)
    CHECK_FALSE(test::step(model, sample_of(number), parameters, 64, gradients, times).overflow);
  CHECK(gradients == expected.gradients);
}

}  // namespace
}  // namespace ane::model
