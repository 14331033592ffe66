#include "ane/model/kernel_plan.h"

#include <string>
#include <utility>
#include <vector>

#include "ane/core/error.h"
#include "ane/model/llama_kernels.h"

#include "support/catch.h"

namespace ane::model {
namespace {

using mil::DType;
using Segments = std::initializer_list<std::pair<std::string_view, std::size_t>>;

/// A row of a plan without a program.
PlannedKernel row(Phase phase, std::string name, Segments inputs, Segments outputs) {
  KernelDefinition definition;
  definition.name = std::move(name);
  definition.input = {DType::fp16, 32, inputs};
  definition.output = {DType::fp16, 32, outputs};
  return {phase, std::move(definition)};
}

const std::vector<PhaseContract>& contract() {
  static const std::vector<PhaseContract> phases = {{Phase::ffn_forward, {"x"}, {"y"}},
                                                    {Phase::ffn_backward, {"dy"}, {"h", "dx"}}};
  return phases;
}

PlannedKernel forward() { return row(Phase::ffn_forward, "fwd", {{"x", 4}}, {{"y", 4}, {"h", 8}, {"extra", 2}}); }
PlannedKernel backward1() { return row(Phase::ffn_backward, "bwd1", {{"dy", 4}, {"extra", 2}}, {{"dh", 8}}); }
PlannedKernel backward2() { return row(Phase::ffn_backward, "bwd2", {{"dh", 8}}, {{"dx", 4}}); }

KernelPlan plan_of(std::vector<PlannedKernel> rows) { return {"test", std::move(rows), contract()}; }

TEST_CASE("a plan knows the producer of a tensor, and how long it is needed", "[model][plan]") {
  const KernelPlan plan = plan_of({forward(), backward1(), backward2()});
  CHECK(plan.maker(Phase::ffn_forward, "y") == 0);
  CHECK(plan.maker(Phase::ffn_backward, "h") == 0);
  CHECK(plan.maker(Phase::ffn_backward, "dh") == 1);
  CHECK_FALSE(plan.maker(Phase::ffn_forward, "dh"));
  CHECK_FALSE(plan.maker(Phase::attention_backward, "dh"));  // only available within its phase
  CHECK_FALSE(plan.maker(Phase::attention_forward, "y"));
  CHECK(plan.last_use(0) == Phase::ffn_backward);
  CHECK(plan.last_use(1) == Phase::ffn_backward);
  CHECK(plan.taps(0) == std::vector<std::string>{"h", "extra"});
  CHECK(plan.taps(1).empty());
}

TEST_CASE("a plan with unmatched tensors is refused with the tensor's name", "[model][plan]") {
  CHECK_NOTHROW(plan_of({forward(), backward1(), backward2()}));
  CHECK_THROWS_WITH(plan_of({forward(), backward2()}),
                    ANE_CONTAINS("plan 'test', kernel 'bwd2' (feed-forward backward): its input 'dh' is neither given "
                                 "nor produced by an earlier kernel"));
  CHECK_THROWS_WITH(plan_of({forward(), backward2(), backward1()}), ANE_CONTAINS("'dh' is neither given"));
  CHECK_THROWS_WITH(plan_of({forward(), backward1()}),
                    ANE_CONTAINS("no kernel up to feed-forward backward produces 'dx', which is read there"));
  CHECK_THROWS_WITH(plan_of({backward1(), forward()}), ANE_CONTAINS("'extra' is neither given"));
  CHECK_THROWS_WITH(plan_of({row(Phase::ffn_backward, "early", {{"dy", 4}}, {{"dx", 4}}), forward()}),
                    ANE_CONTAINS("kernel 'fwd' (feed-forward forward): comes after a kernel of the later phase"));
  CHECK_THROWS_WITH(plan_of({forward(), row(Phase::ffn_backward, "fwd", {{"dy", 4}}, {{"dx", 4}})}),
                    ANE_CONTAINS("another kernel has the same name"));
  CHECK_THROWS_WITH(plan_of({forward(), row(Phase::ffn_backward, "b", {{"dy", 4}}, {{"h", 8}, {"dx", 4}})}),
                    ANE_CONTAINS("kernel 'b' (feed-forward backward): produces 'h', as does 'fwd'"));
  CHECK_THROWS_WITH(plan_of({forward(), row(Phase::ffn_backward, "b", {{"dy", 4}}, {{"dy", 4}, {"dx", 4}})}),
                    ANE_CONTAINS("produces 'dy', which is given"));
  CHECK_THROWS_WITH(plan_of({forward(), row(Phase::ffn_backward, "b", {{"h", 7}}, {{"dx", 4}})}),
                    ANE_CONTAINS("its input 'h' has 7 channels, but 'fwd' produces 8"));
}

TEST_CASE("two backward phases may have outputs of the same name", "[model][plan]") {
  const std::vector<PhaseContract> both = {{Phase::ffn_backward, {"dy"}, {"dx"}},
                                           {Phase::attention_backward, {"do"}, {"dx"}}};
  const KernelPlan plan("test",
                        {row(Phase::ffn_backward, "a", {{"dy", 4}}, {{"dx", 4}}),
                         row(Phase::attention_backward, "b", {{"do", 4}}, {{"dx", 4}})},
                        both);
  CHECK(plan.maker(Phase::ffn_backward, "dx") == 0);
  CHECK(plan.maker(Phase::attention_backward, "dx") == 1);
  CHECK(plan.last_use(0) == Phase::ffn_backward);
}

TEST_CASE("the plans of a Llama layer keep what its backward pass needs", "[model][plan]") {
  const ModelConfig config = {
      .dim = 16, .hidden = 24, .layers = 1, .heads = 4, .kv_heads = 2, .head_dim = 4, .vocab = 10, .seq_len = 32};
  const WeightMode weights = GENERATE(WeightMode::baked, WeightMode::dynamic);
  for (const PlanChoice choice : {PlanChoice::split, PlanChoice::merged}) {
    const KernelPlan plan = llama_plan(config, {DType::fp16, weights, choice});
    CAPTURE(plan.name());
    REQUIRE(plan.kernels().size() == (choice == PlanChoice::split ? 6 : 4));
    CHECK(plan.taps(0) == std::vector<std::string>{"q", "k", "v", "attn"});
    CHECK(plan.last_use(0) == Phase::attention_backward);
    CHECK(plan.taps(1) == std::vector<std::string>{"h1", "h3", "gate"});
    CHECK(plan.last_use(1) == Phase::ffn_backward);
    for (std::size_t row = 2; row < plan.kernels().size(); ++row) CHECK(plan.taps(row).empty());
  }
}

}  // namespace
}  // namespace ane::model
