#include "ane/model/kernel_bank.h"

#include <algorithm>
#include <vector>

#include "ane/model/llama_kernels.h"
#include "ane/model/models.h"

#include "model/rig.h"
#include "support/catch.h"

namespace ane::model {
namespace {

TEST_CASE("each batch slot has its own inputs with the same weights", "[model][slots]") {
  const ModelConfig config{
      .dim = 16, .hidden = 24, .layers = 2, .heads = 2, .kv_heads = 2, .head_dim = 8, .vocab = 11, .seq_len = 9};
  KernelOptions options{mil::DType::fp16, WeightMode::dynamic, PlanChoice::split};
  options.packing = GENERATE(Packing::width, Packing::channels);
  const ParameterLayout layout = parameter_layout(config);
  const std::vector<float> parameters = test::random_values(layout.size(), 0.3, 1);
  test::Rig rig;
  KernelBank bank(llama_plan(config, options), options.element, {"model.layers.0.", "model.layers.1."}, layout,
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

}  // namespace
}  // namespace ane::model
