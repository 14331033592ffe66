#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "ane/mil/ane_rules.h"
#include "ane/mil/geometry.h"
#include "ane/mil/op_view.h"
#include "ane/mil/text.h"
#include "ane/mil/verify.h"
#include "ane/model/llama_kernels.h"
#include "ane/model/mlp.h"

#include "model/files.h"
#include "model/rig.h"
#include "support/catch.h"
#include "support/paths.h"
#include "support/sanitized.h"

// The golden texts in tests/model/golden are rewritten by running this program with ANE_UPDATE_GOLDENS=1. A change that
// only refactors must leave them as they are.
namespace ane::model {
namespace {

using test::packed;

constexpr ModelConfig kGrouped = {
    .dim = 16, .hidden = 24, .layers = 1, .heads = 4, .kv_heads = 2, .head_dim = 4, .vocab = 10, .seq_len = 32};
constexpr ModelConfig kMultiHead = {
    .dim = 16, .hidden = 24, .layers = 1, .heads = 4, .kv_heads = 4, .head_dim = 4, .vocab = 10, .seq_len = 32};

ModelConfig of_family(Family family, ModelConfig config = kGrouped) {
  config.family = family;
  return config;
}

/// Every kernel of every plan, once.
std::vector<KernelDefinition> all_kernels(const ModelConfig& llama, const KernelOptions& options) {
  std::map<std::string, KernelDefinition> kernels;
  KernelOptions merged = options;
  merged.plan = PlanChoice::merged;
  for (const KernelPlan& plan : {llama_plan(llama, options), llama_plan(llama, merged),
                                 mlp_plan({.family = Family::mlp, .dim = 64, .hidden = 128, .seq_len = 32}, options)})
    for (const PlannedKernel& planned : plan.kernels()) kernels.emplace(planned.definition.name, planned.definition);
  std::vector<KernelDefinition> result;
  for (auto& [name, kernel] : kernels) result.push_back(std::move(kernel));
  return result;
}

std::vector<KernelOptions> forms() {
  std::vector<KernelOptions> forms;
  for (const mil::DType element : {mil::DType::fp16, mil::DType::fp32})
    for (const WeightMode weights : {WeightMode::baked, WeightMode::dynamic})
      for (const Packing packing : {Packing::width, Packing::channels})
        forms.push_back(packed(packing, {element, weights}));
  return forms;
}

void check_golden(const std::string& name, const std::string& text) {
  const std::filesystem::path path = ane::test::source_dir() / "tests/model/golden" / (name + ".mil");
  if (std::getenv("ANE_UPDATE_GOLDENS") != nullptr) test::write_file(path, text);
  INFO(path);
  CHECK(test::read_file(path) == text);
}

TEST_CASE("each kernel's text equals its golden file", "[model][golden]") {
  for (const KernelDefinition& kernel : all_kernels(kGrouped, mil::DType::fp16))
    check_golden(kernel.name, mil::print(kernel.program));
  for (const auto generate : {attn_fwd, attn_bwd1, attn_bwd2, attn_bwd}) {
    const KernelDefinition kernel = generate(kMultiHead, mil::DType::fp16);
    check_golden(kernel.name + "_mha", mil::print(kernel.program));
  }
  const KernelDefinition biased = attn_fwd(of_family(Family::qwen2), mil::DType::fp16);
  check_golden(biased.name + "_qwen2", mil::print(biased.program));
  for (const auto generate : {attn_fwd, attn_bwd2, qkv_bwd, attn_bwd}) {
    const KernelDefinition kernel = generate(of_family(Family::qwen3), mil::DType::fp16);
    check_golden(kernel.name + "_qwen3", mil::print(kernel.program));
  }
}

TEST_CASE("each kernel with dynamic weights has the text of its golden file", "[model][golden]") {
  for (const KernelDefinition& kernel : all_kernels(kGrouped, {mil::DType::fp16, WeightMode::dynamic}))
    if (!kernel.weight_segments.empty()) check_golden(kernel.name + "_dynamic", mil::print(kernel.program));
  for (const Family family : {Family::qwen2, Family::qwen3}) {
    const KernelDefinition kernel = attn_fwd(of_family(family), {mil::DType::fp16, WeightMode::dynamic});
    check_golden(fmt::format("{}_{}_dynamic", kernel.name, name(family)), mil::print(kernel.program));
  }
}

TEST_CASE("each kernel with weights below its activations has the text of its golden file", "[model][golden]") {
  const KernelOptions options = packed(Packing::channels);
  for (const KernelDefinition& kernel : all_kernels(kGrouped, options))
    if (!kernel.weight_segments.empty()) check_golden(kernel.name + "_channels", mil::print(kernel.program));
  for (const Family family : {Family::qwen2, Family::qwen3}) {
    const KernelDefinition kernel = attn_fwd(of_family(family), options);
    check_golden(fmt::format("{}_{}_channels", kernel.name, name(family)), mil::print(kernel.program));
  }
}

/// Where slices and splits of a program begin in the last axis, and what is joined along it.
std::vector<std::string> moves_inside_rows(const mil::Program& program) {
  std::vector<std::string> found;
  const mil::Function& main = program.main();
  for (const mil::Operation& operation : main.operations) {
    const mil::OpView op(main, operation);
    const bool is_slice = op.kind() == mil::OpKind::slice_by_index || op.kind() == mil::OpKind::slice_by_size;
    const bool divides = op.kind() == mil::OpKind::split || op.kind() == mil::OpKind::concat;
    if ((is_slice && mil::slice_geometry(op).back().begin != 0) ||
        (divides && mil::axis_of(op) + 1 == op.result_type().shape.size()))
      found.push_back(operation.name);
  }
  return found;
}

TEST_CASE("with weights below the activations, no kernel slices inside the last axis", "[model][kernels][packing]") {
  ModelConfig odd = kGrouped;
  odd.hidden = 20;
  odd.head_dim = 6;
  const Adapter adapter{.rank = 3,
                        .alpha = 6,
                        .modules = {"model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.o_proj",
                                    "model.layers.0.mlp.gate_proj", "model.layers.0.mlp.down_proj"}};
  std::size_t moves_along_width = 0;
  for (const Packing packing : {Packing::width, Packing::channels})
    for (const WeightMode weights : {WeightMode::baked, WeightMode::dynamic})
      for (const RopeForm rope : {RopeForm::matrix, RopeForm::slices})
        for (const bool is_adapted : {false, true})
          for (const ModelConfig& base : {kGrouped, kMultiHead, odd})
            for (const Family family : {Family::llama, Family::qwen2, Family::qwen3}) {
              const ModelConfig config = of_family(family, base);
              KernelOptions options = packed(packing, {mil::DType::fp16, weights, PlanChoice::split, rope});
              if (is_adapted) options.adapter = adapter;
              std::vector<KernelDefinition> kernels = all_kernels(config, options);
              kernels.push_back(attn_cached(config, 64, options));
              for (const KernelDefinition& kernel : kernels) {
                const std::vector<std::string> moves = moves_inside_rows(kernel.program);
                if (packing == Packing::width) {
                  moves_along_width += moves.size();
                  continue;
                }
                CAPTURE(kernel.name, name(family), static_cast<int>(weights), is_adapted, moves);
                CHECK(moves.empty());
              }
            }
  CHECK(moves_along_width > 100);
}

TEST_CASE("a kernel without weights is the same in all weight modes", "[model][kernels]") {
  CHECK(attn_bwd2(kGrouped, {mil::DType::fp16, WeightMode::dynamic}).program ==
        attn_bwd2(kGrouped, {mil::DType::fp16}).program);
}

TEST_CASE("weights are stored beside the activations in the order of the products", "[model][kernels]") {
  const KernelOptions options(mil::DType::fp16, WeightMode::dynamic);
  const auto find = [](const KernelDefinition& kernel, std::string_view segment) {
    for (const WeightSegment& weight : kernel.weight_segments)
      if (weight.segment == segment) return weight;
    FAIL("no weight " << segment);
    return WeightSegment{};
  };
  // Forward: [in, out], and down_proj untransposed, because its outputs are the channels.
  const KernelDefinition forward = ffn_fwd(kGrouped, options);
  CHECK(forward.input.channels() == 16);
  CHECK(forward.input.width() == 32 * 4);  // 32 + 3 * 24, padded
  CHECK(find(forward, "gate_proj").transposed);
  CHECK_FALSE(find(forward, "down_proj").transposed);
  CHECK(forward.input.at("down_proj").columns == 24);
  // Backward in H channels: gate_proj and up_proj untransposed, down_proj transposed.
  const KernelDefinition backward = ffn_bwd(kGrouped, options);
  CHECK(backward.input.channels() == 24);
  CHECK_FALSE(find(backward, "gate_proj").transposed);
  CHECK(find(backward, "down_proj").transposed);
  CHECK(backward.input.at("dy").channels == 16);
  // Fewer KV channels than the input has.
  const KernelDefinition qkv = qkv_bwd(kGrouped, options);
  CHECK(qkv.input.channels() == 16);
  CHECK(qkv.input.at("dk").channels == 8);
  CHECK(qkv.input.at("k_proj").columns == 8);
  CHECK(find(qkv, "k_proj").transposed);
  CHECK_FALSE(find(qkv, "q_proj").transposed);
}

TEST_CASE("weights below the activations fill whole rows, in the order of the products", "[model][kernels][packing]") {
  ModelConfig config = of_family(Family::qwen3);
  config.hidden = 20;
  const KernelDefinition ffn = ffn_fwd(config, packed(Packing::channels));
  CHECK(ffn.input.width() == 32);
  CHECK(ffn.input.at("xn").rows == 16);
  CHECK(ffn.input.at("gate_proj").channels == 16);
  CHECK(ffn.input.at("gate_proj").columns == 20);
  CHECK(ffn.input.at("gate_proj").rows == 10);
  CHECK(ffn.input.at("down_proj").channels == 20);
  CHECK(ffn.input.at("down_proj").rows == 10);
  CHECK(ffn.input.channels() == 16 + 3 * 10);
  for (const WeightSegment& weight : ffn.weight_segments) CHECK(weight.transposed);  // [in, out]
  const KernelDefinition attention = attn_fwd(config, packed(Packing::channels));
  CHECK(attention.input.at("q_norm").channels == 1);
  CHECK(attention.input.at("q_norm").columns == 4);
  CHECK(attention.input.at("q_norm").rows == 1);
  const KernelDefinition backward = ffn_bwd(config, packed(Packing::channels));
  for (const WeightSegment& weight : backward.weight_segments) CHECK_FALSE(weight.transposed);
}

TEST_CASE("a vector that is longer than the channels is stored in several columns", "[model][kernels]") {
  ModelConfig config = of_family(Family::qwen2);
  config.head_dim = 10;  // 40 queries in 16 channels
  const KernelDefinition kernel = attn_fwd(config, {mil::DType::fp16, WeightMode::dynamic});
  CHECK(kernel.input.channels() == 16);
  CHECK(kernel.input.at("q_proj_bias").channels == 10);
  CHECK(kernel.input.at("q_proj_bias").columns == 4);
  CHECK(kernel.input.at("k_proj_bias").channels == 10);
  CHECK(kernel.input.at("k_proj_bias").columns == 2);
}

TEST_CASE("QK-norm adds no kernel with weights to a plan", "[model][kernels]") {
  for (const PlanChoice plan : {PlanChoice::split, PlanChoice::merged}) {
    const auto with_weights = [&](Family family) {
      std::vector<std::string> names;
      const KernelPlan kernels = llama_plan(of_family(family), {mil::DType::fp16, WeightMode::baked, plan});
      for (const PlannedKernel& planned : kernels.kernels())
        if (!planned.definition.weights.empty()) names.push_back(planned.definition.name);
      return names;
    };
    CHECK(with_weights(Family::qwen3) == with_weights(Family::llama));
  }
}

TEST_CASE("each kernel is well typed and reads back as itself", "[model][kernels]") {
  for (const ModelConfig& config : {kGrouped, kMultiHead, of_family(Family::qwen2), of_family(Family::qwen3)})
    for (const KernelOptions& options : forms())
      for (const KernelDefinition& kernel : all_kernels(config, options)) {
        INFO(kernel.name);
        CHECK_NOTHROW(mil::verify(kernel.program));
        CHECK(mil::parse(mil::print(kernel.program)) == kernel.program);
      }
}

TEST_CASE("a program's ports are the packed layouts", "[model][kernels]") {
  const KernelOptions options = packed(GENERATE(Packing::width, Packing::channels),
                                       {mil::DType::fp16, GENERATE(WeightMode::baked, WeightMode::dynamic)});
  for (const ModelConfig& config : {kGrouped, kMultiHead, of_family(Family::qwen2), of_family(Family::qwen3)})
    for (const KernelDefinition& kernel : all_kernels(config, options)) {
      INFO(kernel.name);
      const mil::Function& main = kernel.program.main();
      REQUIRE(main.inputs.size() == 1);
      REQUIRE(main.outputs.size() == 1);
      CHECK(main.value(main.inputs[0]).type == kernel.input.type());
      CHECK(main.value(main.outputs[0]).type == kernel.output.type());
    }
}

TEST_CASE("every blob that a program names has its contents", "[model][kernels]") {
  const KernelOptions options = packed(GENERATE(Packing::width, Packing::channels),
                                       {mil::DType::fp16, GENERATE(WeightMode::baked, WeightMode::dynamic)});
  const Family family = GENERATE(Family::llama, Family::qwen2, Family::qwen3);
  for (const KernelDefinition& kernel : all_kernels(of_family(family), options)) {
    INFO(kernel.name);
    CHECK((kernel.weights.empty() || kernel.weight_segments.empty()));
    std::set<std::string> described;
    for (const WeightBlob& weight : kernel.weights) described.insert(weight.path);
    for (const ConstantBlob& constant : kernel.constants) described.insert(constant.path);
    const std::vector<std::string> named = mil::blob_paths(kernel.program);
    CHECK(described == std::set<std::string>(named.begin(), named.end()));
    CHECK(described.size() == kernel.weights.size() + kernel.constants.size());
  }
}

TEST_CASE("no kernel breaks a rule of the ANE at the sizes of the configurations", "[model][kernels][rules]") {
  const ModelConfig shakespeare = {
      .dim = 128, .hidden = 352, .layers = 4, .heads = 4, .kv_heads = 4, .head_dim = 32, .vocab = 256, .seq_len = 64};
  const ModelConfig stories15m = {.dim = 288,
                                  .hidden = 768,
                                  .layers = 6,
                                  .heads = 6,
                                  .kv_heads = 6,
                                  .head_dim = 48,
                                  .vocab = 32000,
                                  .seq_len = 256};
  const ModelConfig stories110m = {.dim = 768,
                                   .hidden = 2048,
                                   .layers = 12,
                                   .heads = 12,
                                   .kv_heads = 12,
                                   .head_dim = 64,
                                   .vocab = 32000,
                                   .seq_len = 256};
  ModelConfig grouped = stories110m;
  grouped.kv_heads = 4;
  const ModelConfig qwen2 = {.family = Family::qwen2,  // Qwen2.5-0.5B
                             .dim = 896,
                             .hidden = 4864,
                             .layers = 24,
                             .heads = 14,
                             .kv_heads = 2,
                             .head_dim = 64,
                             .vocab = 151936,
                             .seq_len = 256};
  const ModelConfig qwen3 = {.family = Family::qwen3,  // Qwen3-0.6B
                             .dim = 1024,
                             .hidden = 3072,
                             .layers = 28,
                             .heads = 16,
                             .kv_heads = 8,
                             .head_dim = 128,
                             .vocab = 151936,
                             .seq_len = 256};
  const WeightMode weights = GENERATE(WeightMode::baked, WeightMode::dynamic);
  const RopeForm rope = GENERATE(RopeForm::matrix, RopeForm::slices);
  const Packing packing = GENERATE(Packing::width, Packing::channels);
  const KernelOptions options = packed(packing, {mil::DType::fp16, weights, PlanChoice::split, rope});
  const std::vector<ModelConfig> configs =
      kSanitized ? std::vector{shakespeare, grouped, qwen3}
                 : std::vector{shakespeare, stories15m, stories110m, grouped, qwen2, qwen3};
  // Each of these forms is refused by one chip on which it was observed to fail, and M1 and M2 compute some slices
  // incorrectly.
  const std::vector<std::string> chips{"Apple M1",       "Apple M1 Max", "Apple M2 Pro", "Apple M3", "Apple M3 Max",
                                       "Apple M3 Ultra", "Apple M4",     "Apple M4 Max", "Apple M5", "Apple M5 Max"};
  for (const std::string& chip : chips) {
    const bool slices_inside = packing == Packing::width;
    const bool slices_by_rope = rope == RopeForm::slices && slices_inside;
    const bool is_old = chip.find("M1") != std::string::npos || chip.find("M2") != std::string::npos;
    std::set<std::string> faults;
    for (const ModelConfig& config : configs)
      for (const KernelDefinition& kernel : all_kernels(config, options))
        for (const mil::Diagnostic& diagnostic : mil::check_for_ane(kernel.program, nullptr, chip)) {
          INFO(kernel.name << " at dim " << config.dim << " on " << chip << ": " << mil::to_string(diagnostic));
          if (!mil::is_fault(diagnostic.severity)) continue;
          faults.insert(diagnostic.rule);
          if (diagnostic.severity == mil::Severity::refusal) CHECK((slices_by_rope && chip == "Apple M3 Ultra"));
        }
    std::set<std::string> expected;
    if (slices_by_rope && chip == "Apple M3 Ultra") expected.insert("A28");
    if (is_old && slices_inside && (slices_by_rope || weights == WeightMode::dynamic)) expected.insert("R3");
    CAPTURE(chip);
    CHECK(faults == expected);
  }
}

TEST_CASE("a layer too large for one packing may fit the other, and long sequences help", "[model][kernels][rules]") {
  ModelConfig config = {.dim = 2048,  // Llama 3.2 1B
                        .hidden = 8192,
                        .layers = 16,
                        .heads = 32,
                        .kv_heads = 8,
                        .head_dim = 64,
                        .vocab = 128256,
                        .seq_len = 256};
  const auto is_refused = [&](Packing packing, std::string_view chip) {
    const KernelDefinition kernel = ffn_fwd(config, packed(packing));
    const std::vector<mil::Diagnostic> found = mil::check_for_ane(kernel.program, nullptr, chip);
    return std::ranges::any_of(found, [](const mil::Diagnostic& broken) {
      return broken.rule == "B3" && broken.severity == mil::Severity::refusal;
    });
  };
  CHECK(is_refused(Packing::width, "Apple M3"));
  CHECK_FALSE(is_refused(Packing::width, "Apple M4"));
  CHECK(is_refused(Packing::channels, "Apple M4"));
  config.seq_len = 1024;
  CHECK(is_refused(Packing::width, "Apple M3"));
  CHECK_FALSE(is_refused(Packing::channels, "Apple M3"));
}

TEST_CASE("the causal mask is repeated for the heads of a group", "[model][kernels]") {
  const KernelDefinition kernel = attn_fwd(kGrouped, mil::DType::fp16);
  for (const ConstantBlob& constant : kernel.constants) {
    if (constant.path.find("mask") == std::string::npos) continue;
    REQUIRE(constant.values.size() == 2 * 32 * 32);
    for (std::size_t head = 0; head < 2; ++head)
      for (std::size_t query = 0; query < 32; ++query)
        for (std::size_t key = 0; key < 32; ++key)
          if ((constant.values[(head * 32 + query) * 32 + key] == 0) != (key <= query)) FAIL(query << ", " << key);
    return;
  }
  FAIL("there is no mask");
}

}  // namespace
}  // namespace ane::model
