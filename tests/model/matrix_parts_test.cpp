#include "kernels/matrix_parts.h"

#include <string>
#include <vector>

#include "ane/mil/ane_rules.h"
#include "ane/model/llama_kernels.h"
#include "ane/model/models.h"

#include "model/rig.h"
#include "support/catch.h"

namespace ane::model {
namespace {

using test::Rig;

/// Runs a kernel on random inputs; returns its packed output by segment.
std::vector<float> output_of(Rig& rig, const KernelDefinition& definition, const ParameterLayout& layout,
                             std::span<const float> parameters, const std::string& segment) {
  KernelTemplate kind(definition, mil::DType::fp32);
  const auto kernel = kind.compile(rig.device, "model.layers.0.", {layout, parameters}, rig.threads);
  surface::Surface input = rig.surfaces.acquire(definition.input.surface().size_bytes);
  surface::Surface output = rig.surfaces.acquire(definition.output.surface().size_bytes);
  {
    const auto mapping = input.map_for_write();
    const PackedView<std::byte> to{definition.input, mapping.bytes()};
    std::uint64_t stream = 0;
    for (const Segment& each : definition.input.segments())
      if (!definition.is_weight(each.name))
        write_segment(to, each.name, test::random_values(each.channels * each.columns, 1, ++stream), rig.threads);
    for (const WeightSegment& weight : definition.weight_segments) {
      const auto values = slice(parameters, *layout.find("model.layers.0." + weight.parameter));
      if (weight.transposed) {
        write_transposed(to, weight.segment, values);
      } else {
        write_segment(to, weight.segment, values);
      }
    }
  }
  const std::array inputs = {&input};
  const std::array outputs = {&output};
  kernel->run(inputs, outputs);
  std::vector<float> values(definition.output.at(segment).channels * definition.output.width());
  const auto mapping = output.map_for_read();
  read_segment({definition.output, mapping.bytes()}, segment, values, rig.threads);
  return values;
}

std::size_t count_of(const KernelDefinition& definition, mil::OpKind kind) {
  std::size_t count = 0;
  for (const mil::Operation& operation : definition.program.main().operations) count += operation.kind == kind ? 1 : 0;
  return count;
}

TEST_CASE("parts cover a matrix and are no more than necessary", "[model][parts]") {
  using mil::DType;
  CHECK(matrix_parts(3072, 1024, 256, DType::fp16).is_whole());
  CHECK(matrix_parts(64, 5375, 32, DType::fp16).is_whole() == false);  // rounded to whole groups of channels
  const MatrixParts down = matrix_parts(2048, 8192, 256, DType::fp16);
  REQUIRE(down.inputs.size() == 2);
  CHECK(down.inputs[0].end == 4096);
  CHECK(down.inputs[1].end == 8192);
  CHECK(down.outputs.size() == 1);
  const MatrixParts up = matrix_parts(8192, 2048, 256, DType::fp16);
  CHECK(up.inputs.size() == 1);
  REQUIRE(up.outputs.size() == 2);
  CHECK(up.outputs[1].begin == 4096);
  CHECK(matrix_parts(8192, 2048, 8192, DType::fp16).is_whole());  // no number of parts would help
  std::size_t end = 0;
  for (const math::Range& part : matrix_parts(10, 20000, 32, DType::fp16).inputs) {
    CHECK(part.begin == end);
    end = part.end;
  }
  CHECK(end == 20000);
}

TEST_CASE("a matrix in parts gives the products of the whole one", "[model][parts]") {
  // The first has long sums, the second large results: 2 parts of the inputs, and of the outputs.
  const auto [dim, hidden, seq_len] =
      GENERATE(table<std::size_t, std::size_t, std::size_t>({{16, 6000, 5}, {32, 17000, 512}}));
  const ModelConfig config{.dim = dim,
                           .hidden = hidden,
                           .layers = 1,
                           .heads = 2,
                           .kv_heads = 2,
                           .head_dim = 8,
                           .vocab = 3,
                           .seq_len = seq_len};
  const ParameterLayout layout = parameter_layout(config);
  const std::vector<float> parameters = test::random_values(layout.size(), 0.05, 3);
  Rig rig;
  const KernelOptions baked(mil::DType::fp32, WeightMode::baked);
  const KernelOptions dynamic(mil::DType::fp32, WeightMode::dynamic);
  const auto compare = [&](const KernelDefinition& parts, const KernelDefinition& whole, const std::string& segment) {
    CAPTURE(config.dim, parts.name, segment);
    CHECK(count_of(parts, mil::OpKind::conv) > 3);
    // The order of fp32 sums of thousands of products differs.
    CHECK(test::relative_error(output_of(rig, parts, layout, parameters, segment),
                               output_of(rig, whole, layout, parameters, segment)) <= 1e-5);
  };
  for (const std::string segment : {"y", "h1"}) compare(ffn_fwd(config, baked), ffn_fwd(config, dynamic), segment);
  for (const std::string segment : {"dxn", "dh1"}) compare(ffn_bwd(config, baked), ffn_bwd(config, dynamic), segment);
}

TEST_CASE("no kernel of a model with a billion parameters is slow because of its size", "[model][parts]") {
  struct Row {
    std::size_t dim, hidden, heads, kv_heads;
  };
  const auto row = GENERATE(values<Row>({{2048, 5632, 32, 4}, {2048, 8192, 32, 8}, {3072, 8192, 24, 8}}));
  const ModelConfig config{.dim = row.dim,
                           .hidden = row.hidden,
                           .layers = 1,
                           .heads = row.heads,
                           .kv_heads = row.kv_heads,
                           .head_dim = row.dim / row.heads,
                           .vocab = 32000,
                           .seq_len = 256};
  const KernelPlan plan = kernel_plan(config, {mil::DType::fp16, WeightMode::baked});
  for (const PlannedKernel& kernel : plan.kernels())
    for (const mil::Diagnostic& found : mil::check_for_ane(kernel.definition.program)) {
      CAPTURE(kernel.definition.name, mil::to_string(found));
      CHECK(found.rule != "A47");
      CHECK(found.rule != "A50");
      CHECK_FALSE(mil::is_fault(found.severity));
    }
}

}  // namespace
}  // namespace ane::model
