#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ane/device/forwarding.h"
#include "ane/model/models.h"

#include "model/rig.h"
#include "support/catch.h"

namespace ane::model {
namespace {

using mil::DType;
using test::Rig;

/// How a device takes weights without compiling.
enum class Reload { works, works_roughly, stale, partly_stale, unknown };

/// A host kernel that may lie.
class DoubtfulKernel final : public device::ForwardingKernel {
 public:
  DoubtfulKernel(std::unique_ptr<device::Kernel> kernel, mil::Blobs weights, Reload behaviour)
      : ForwardingKernel(std::move(kernel)), weights_(std::move(weights)), behaviour_(behaviour) {}

  void run(std::span<surface::Surface* const> inputs, std::span<surface::Surface* const> outputs) override {
    ForwardingKernel::run(inputs, outputs);
    if (behaviour_ != Reload::works_roughly) return;
    const auto mapping = outputs[0]->map_for_write();
    for (std::size_t at = 0; at < mapping.bytes().size(); at += 2)
      mapping.bytes()[at] ^= std::byte{1};  // fp16's last bit
  }
  bool reload(const mil::Blobs& weights) override {
    if (behaviour_ == Reload::unknown) return false;
    if (behaviour_ == Reload::stale) return true;
    mil::Blobs taken = weights;
    if (behaviour_ == Reload::partly_stale) taken.begin()->second = weights_.begin()->second;
    return ForwardingKernel::reload(taken);
  }

 private:
  mil::Blobs weights_;
  Reload behaviour_;
};

class DoubtfulDevice final : public device::ForwardingDevice {
 public:
  DoubtfulDevice(math::ThreadPool& threads, Reload behaviour)
      : ForwardingDevice(std::make_unique<device::host::HostDevice>(threads)), behaviour_(behaviour) {}

  [[nodiscard]] std::unique_ptr<device::Kernel> compile(std::string_view text, const mil::Blobs& weights) override {
    ++compiles;
    return std::make_unique<DoubtfulKernel>(ForwardingDevice::compile(text, weights), weights, behaviour_);
  }

  int compiles = 0;

 private:
  Reload behaviour_;
};

LlamaConfig small_llama(std::size_t kv_heads) {
  return {.dim = 24,
          .hidden = 40,
          .layers = 3,
          .heads = 4,
          .kv_heads = kv_heads,
          .vocab = 11,
          .seq_len = 9,
          .tied_classifier = kv_heads == 4};
}

/// A Llama on a device whose reloads do as they please.
struct Session {
  explicit Session(Reload behaviour, std::size_t kv_heads = 2)
      : device(rig.threads, behaviour),
        engine{device, rig.surfaces, rig.threads, &rig.device},
        model(make_llama(small_llama(kv_heads), DType::fp16, engine)),
        old_parameters(model->parameters().size()),
        gradients(old_parameters.size()) {
    model->initialize(old_parameters, 1);
    // What an update changes: far less than what rounding does to results.
    new_parameters = old_parameters;
    for (float& value : new_parameters) value *= 1.002F;
    model->compile(KernelSet::training, old_parameters);
  }

  std::vector<float> gradients_with(std::span<const float> parameters) {
    data::Sample sample;
    for (data::Token i = 0; i <= 9; ++i) sample.tokens.push_back(static_cast<data::Token>(i * i % 11));
    std::ranges::fill(gradients, 0.0F);
    StepTimes times;
    static_cast<void>(model->step(sample, parameters, 256, gradients, times));
    return gradients;
  }

  Rig rig;
  DoubtfulDevice device;
  Engine engine;
  std::unique_ptr<Model> model;
  std::vector<float> old_parameters;
  std::vector<float> new_parameters;
  std::vector<float> gradients;
};

TEST_CASE("reloaded kernels give the gradients of compiled ones, bit for bit, and compile nothing", "[model][reload]") {
  const std::size_t kv_heads = GENERATE(1U, 2U, 4U);
  Session compiled(Reload::works, kv_heads);
  compiled.model->compile(KernelSet::training, compiled.new_parameters);
  Session reloaded(Reload::works, kv_heads);
  const std::vector<float> before = reloaded.gradients_with(reloaded.old_parameters);
  const int compiles = reloaded.device.compiles;
  for (int round = 0; round < 4; ++round)  // more than there are layers to watch
    REQUIRE(reloaded.model->reload(KernelSet::training, reloaded.new_parameters) == std::nullopt);
  CHECK(reloaded.gradients_with(reloaded.new_parameters) == compiled.gradients_with(compiled.new_parameters));
  CHECK(reloaded.gradients_with(reloaded.new_parameters) != before);
  CHECK(reloaded.device.compiles == compiles);
}

TEST_CASE("a device that rounds otherwise is no liar", "[model][reload]") {
  Session session(Reload::works_roughly);
  CHECK(session.model->reload(KernelSet::training, session.new_parameters) == std::nullopt);
}

TEST_CASE("kernels that compute on with old weights are found out, however small the update", "[model][reload]") {
  Session session(Reload::stale);
  const auto fault = session.model->reload(KernelSet::training, session.new_parameters);
  REQUIRE(fault.has_value());
  CHECK_THAT(*fault, ANE_CONTAINS("kernel 'layers.0.attn_fwd' still computes with its old weights"));
  // Another round watches another layer.
  session.model->compile(KernelSet::training, session.old_parameters);
  CHECK_THAT(session.model->reload(KernelSet::forward, session.new_parameters).value_or(""),
             ANE_CONTAINS("'layers.1.attn_fwd'"));

  session.model->compile(KernelSet::training, session.new_parameters);
  Session compiled(Reload::works);
  compiled.model->compile(KernelSet::training, compiled.new_parameters);
  CHECK(session.gradients_with(session.new_parameters) == compiled.gradients_with(compiled.new_parameters));
}

TEST_CASE("one weight that stays old is enough to be found out", "[model][reload]") {
  Session session(Reload::partly_stale);
  CHECK_THAT(session.model->reload(KernelSet::training, session.new_parameters).value_or(""),
             ANE_CONTAINS("computes neither with its old nor with its new weights") && ANE_CONTAINS("is off by"));
}

TEST_CASE("a device that takes no weights, or nothing to compare with, is said", "[model][reload]") {
  Session session(Reload::unknown);
  CHECK_THAT(session.model->reload(KernelSet::training, session.new_parameters).value_or(""),
             ANE_CONTAINS("cannot take other weights on this device"));
  Engine alone{session.device, session.rig.surfaces, session.rig.threads};
  const auto model = make_mlp({.dim = 16, .hidden = 32, .seq_len = 8}, DType::fp16, alone);
  std::vector<float> parameters(model->parameters().size());
  model->compile(KernelSet::training, parameters);
  CHECK_THAT(model->reload(KernelSet::training, parameters).value_or(""), ANE_CONTAINS("no second device"));
}

TEST_CASE("kernels compiled ahead replace those that run when they are adopted, not before", "[model][pipeline]") {
  Session compiled(Reload::works);
  const std::vector<float> before = compiled.gradients_with(compiled.old_parameters);
  compiled.model->compile(KernelSet::training, compiled.new_parameters);
  const std::vector<float> after = compiled.gradients_with(compiled.new_parameters);
  REQUIRE(before != after);

  Session session(Reload::works);
  const int compiles = session.device.compiles;
  session.model->compile_ahead(session.new_parameters);
  CHECK(session.device.compiles == compiles + session.model->compiles_ahead());
  CHECK(session.gradients_with(session.old_parameters) == before);
  session.model->adopt_ahead();
  CHECK(session.gradients_with(session.new_parameters) == after);
}

}  // namespace
}  // namespace ane::model
