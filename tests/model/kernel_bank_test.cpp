#include "ane/model/kernel_bank.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "ane/device/forwarding.h"
#include "ane/model/llama_kernels.h"
#include "ane/model/models.h"

#include "model/rig.h"
#include "support/catch.h"

namespace ane::model {
namespace {

const ModelConfig kTwoLayers{
    .dim = 16, .hidden = 24, .layers = 2, .heads = 2, .kv_heads = 2, .head_dim = 8, .vocab = 11, .seq_len = 9};

TEST_CASE("each batch slot has its own inputs with the same weights", "[model][slots]") {
  KernelOptions options{mil::DType::fp16, WeightMode::dynamic, PlanChoice::split};
  options.packing = GENERATE(Packing::width, Packing::channels);
  const ParameterLayout layout = parameter_layout(kTwoLayers);
  const std::vector<float> parameters = test::random_values(layout.size(), 0.3, 1);
  test::Rig rig;
  KernelBank bank(llama_plan(kTwoLayers, options), options.element, {"model.layers.0.", "model.layers.1."}, layout,
                  rig.context, 2);
  REQUIRE(bank.load_weights(PassMode::training, parameters));

  std::vector<const surface::Surface*> inputs;
  for (std::size_t row = 0; row < bank.plan().kernels().size(); ++row) {
    for (std::size_t layer = 0; layer < bank.layers(); ++layer) {
      surface::Surface* const first = bank.weighted_input(row, layer, 0);
      surface::Surface* const second = bank.weighted_input(row, layer, 1);
      REQUIRE((first == nullptr) == (second == nullptr));
      if (first == nullptr) continue;
      inputs.insert(inputs.end(), {first, second});
      const PackedLayout& packed = bank.plan().kernels()[row].definition.input;
      for (const WeightSegment& weight : bank.plan().kernels()[row].definition.weight_segments) {
        const Segment& segment = packed.at(weight.segment);
        std::vector<float> of_first(segment.channels * segment.columns);
        std::vector<float> of_second(of_first.size());
        read_segment({packed, first->map_for_read().bytes()}, weight.segment, of_first, rig.threads);
        read_segment({packed, second->map_for_read().bytes()}, weight.segment, of_second, rig.threads);
        CHECK(of_first == of_second);
        CHECK(std::ranges::count(of_first, 0.0F) < std::ssize(of_first) / 2);
      }
    }
  }
  REQUIRE(inputs.size() == 2 * 2 * 5);
  std::ranges::sort(inputs);
  CHECK(std::ranges::adjacent_find(inputs) == inputs.end());
}

/// A device that pretends to have workers, and notes what it compiles on which threads.
class SharingDevice final : public device::ForwardingDevice {
 public:
  explicit SharingDevice(device::Device& device) : ForwardingDevice(device) {}

  [[nodiscard]] int compile_workers() const noexcept override { return 2; }
  std::unique_ptr<device::Kernel> compile(std::string_view label, std::string_view text,
                                          const mil::Blobs& weights) override {
    {
      std::unique_lock lock(mutex_);
      if (++compiles_ == fails_at) throw device::CompileError("this device compiles no more");
      threads.insert(std::this_thread::get_id());
      // Until all threads have come, which shows that they compile at the same time.
      has_come_.notify_all();
      has_come_.wait_for(lock, std::chrono::seconds(10), [&] { return fails_at > 0 || threads.size() == 3; });
      programs.emplace(std::string(label), weights);
    }
    return ForwardingDevice::compile(label, text, weights);
  }

  int fails_at = 0;
  std::multimap<std::string, mil::Blobs> programs;
  std::set<std::thread::id> threads;

 private:
  std::mutex mutex_;
  std::condition_variable has_come_;
  int compiles_ = 0;
};

/// A bank of baked kernels on such a device.
struct SharedBank {
  test::Rig rig{1};
  SharingDevice device{rig.device};
  ParameterLayout layout = parameter_layout(kTwoLayers);
  std::vector<float> parameters = test::random_values(layout.size(), 0.3, 1);
  KernelBank bank{llama_plan(kTwoLayers, {mil::DType::fp16, WeightMode::baked, PlanChoice::split}),
                  mil::DType::fp16,
                  {"model.layers.0.", "model.layers.1."},
                  layout,
                  {.device = device, .surfaces = rig.surfaces, .threads = rig.threads, .slots = 1}};
};

TEST_CASE("with workers several threads compile the kernels, each with its own weights", "[model][workers]") {
  SharedBank shared;
  const bool ahead = GENERATE(false, true);
  shared.bank.compile(PassMode::training, shared.parameters);
  CHECK(shared.device.programs.size() == 11);
  if (ahead) {
    shared.device.programs.clear();
    shared.bank.compile_ahead(shared.parameters);
    shared.bank.adopt_ahead();
    CHECK(shared.device.programs.size() == 10);
  }
  CHECK(shared.device.threads.size() == 3);
  CHECK(shared.bank.compiles_needed(PassMode::training) == 10);
  std::set<std::pair<std::string, std::vector<std::byte>>> different;
  for (const auto& [label, weights] : shared.device.programs) {
    std::vector<std::byte> all;
    for (const auto& [path, blob] : weights) all.insert(all.end(), blob.bytes().begin(), blob.bytes().end());
    different.emplace(label, all);
  }
  CHECK(different.size() == shared.device.programs.size());
  for (std::size_t row = 0; row < shared.bank.plan().kernels().size(); ++row)
    for (std::size_t layer = 0; layer < 2; ++layer) CHECK_NOTHROW(shared.bank.kernel(row, layer));
}

TEST_CASE("a failed compile of several is thrown, and the next round succeeds", "[model][workers]") {
  SharedBank shared;
  shared.device.fails_at = GENERATE(1, 4);
  CHECK_THROWS_WITH(shared.bank.compile(PassMode::training, shared.parameters), ANE_CONTAINS("compiles no more"));
  CHECK_NOTHROW(shared.bank.compile(PassMode::training, shared.parameters));
  CHECK(shared.bank.compiles_needed(PassMode::training) == 10);
}

}  // namespace
}  // namespace ane::model
