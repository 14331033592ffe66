#include "ane/model/decoder.h"

#include <algorithm>
#include <memory>
#include <span>
#include <vector>

#include "ane/device/forwarding.h"
#include "ane/model/llama.h"
#include "ane/model/parameter_reader.h"

#include "model/rig.h"
#include "support/catch.h"

namespace ane::model {
namespace {

using mil::DType;
using test::Rig;

ModelConfig small_model(Family family, std::size_t head_dim) {
  return {.family = family,
          .dim = 16,
          .hidden = 24,
          .layers = 2,
          .heads = 4,
          .kv_heads = 2,
          .head_dim = head_dim,
          .vocab = 11,
          .seq_len = 32,
          .tied_embeddings = family != Family::qwen2};
}

std::vector<float> some_parameters(const ParameterLayout& layout) {
  std::vector<float> parameters = test::random_values(layout.size(), 0.3, 3);
  for (const Parameter& parameter : layout.parameters())
    if (parameter.role == Role::norm)
      for (float& value : slice(std::span(parameters), parameter)) value += 1;
  return parameters;
}

/// The text of 32 tokens and, as reference, the logits of a pass over all of it.
struct Reference {
  Reference(Rig& rig, const ModelConfig& config, DType element)
      : model(config, element, rig.context),
        parameters(some_parameters(model.parameters())),
        reader(open_array(parameters, model.parameters())) {
    for (std::size_t i = 0; i <= config.seq_len; ++i)
      sample.tokens.push_back(static_cast<data::Token>((i * i + 3 * i) % config.vocab));
    test::load(model.kernels(), PassMode::forward, parameters);
    StepTimes times;
    static_cast<void>(test::evaluate(model, sample, parameters, times));
  }
  /// After the token at `position`.
  [[nodiscard]] std::span<const float> logits(std::size_t position) const {
    return model.logits().subspan(position * model.config().vocab, model.config().vocab);
  }
  [[nodiscard]] std::span<const data::Token> tokens(std::size_t count) const {
    return std::span(sample.tokens).first(count);
  }

  Llama model;
  std::vector<float> parameters;
  std::unique_ptr<ParameterReader> reader;
  data::Sample sample;
};

TEST_CASE("tokens one after another have the logits of a pass over the whole text", "[model][decoder]") {
  const auto [family, head_dim] =
      GENERATE(table<Family, std::size_t>({{Family::llama, 4}, {Family::qwen2, 6}, {Family::qwen3, 10}}));
  const DType element = GENERATE(DType::fp32, DType::fp16);
  const std::size_t prompt = GENERATE(1U, 13U, 31U);
  CAPTURE(name(family), mil::name(element), prompt);
  // fp32 sums of tens of values. Fp16 kernels round every tensor to 11 bits: 5e-4 each, over tens of consecutive
  // tensors, and both passes round others.
  const double bound = element == DType::fp32 ? 1e-5 : 1e-2;
  const ModelConfig config = small_model(family, head_dim);
  Rig rig;
  const Reference reference(rig, config, element);
  KernelOptions options(element);
  options.packing = GENERATE(Packing::width, Packing::channels);
  Decoder decoder(config, options, rig.context, *reference.reader);
  CHECK(test::relative_error(decoder.restart(reference.tokens(prompt)), reference.logits(prompt - 1)) <= bound);
  for (std::size_t position = prompt; position < config.seq_len; ++position) {
    CAPTURE(position);
    CHECK(decoder.position() == position);
    CHECK(test::relative_error(decoder.append(reference.sample.tokens[position]), reference.logits(position)) <= bound);
  }
  CHECK(decoder.position() == config.seq_len);
}

TEST_CASE("a decoder can begin another text", "[model][decoder]") {
  const ModelConfig config = small_model(Family::llama, 4);
  Rig rig;
  const Reference reference(rig, config, DType::fp32);
  Decoder decoder(config, DType::fp32, rig.context, *reference.reader);
  const std::vector<data::Token> other = {5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5};
  decoder.restart(other);
  decoder.append(7);
  CHECK(test::relative_error(decoder.restart(reference.tokens(3)), reference.logits(2)) <= 1e-5);
  CHECK(test::relative_error(decoder.append(reference.sample.tokens[3]), reference.logits(3)) <= 1e-5);
}

/// Counts how often memory is released.
class CountingDevice final : public device::ForwardingDevice {
 public:
  using ForwardingDevice::ForwardingDevice;
  void release_spare_memory() noexcept override {
    ++released;
    ForwardingDevice::release_spare_memory();
  }
  int released = 0;
};

TEST_CASE("a decoder releases the memory of the kernels that it no longer needs", "[model][decoder][memory]") {
  const ModelConfig config = small_model(Family::llama, 4);
  Rig rig;
  const Reference reference(rig, config, DType::fp32);
  CountingDevice device(rig.device);
  Decoder decoder(config, DType::fp32, {.device = device, .surfaces = rig.surfaces, .threads = rig.threads},
                  *reference.reader);
  decoder.restart(reference.tokens(3));
  CHECK(device.released == 0);
  decoder.append(reference.sample.tokens[3]);
  decoder.append(reference.sample.tokens[4]);
  CHECK(device.released == 1);
  decoder.restart(reference.tokens(3));
  CHECK(device.released == 2);
}

TEST_CASE("parameters that are not finite are reported", "[model][decoder][overflow]") {
  const ModelConfig config = small_model(Family::llama, 4);
  Rig rig;
  Reference reference(rig, config, DType::fp16);
  for (float& value : reference.parameters) value *= 300;
  Decoder decoder(config, DType::fp16, rig.context, *reference.reader);
  CHECK_THROWS_WITH(decoder.restart(reference.tokens(3)), ANE_CONTAINS("of layer 0 is not finite"));
}

}  // namespace
}  // namespace ane::model
