#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "ane/model/adapter.h"
#include "ane/model/frozen_parameters.h"
#include "ane/model/llama.h"
#include "ane/model/model_tensors.h"
#include "ane/model/models.h"
#include "ane/model/weight_files.h"

#include "model/rig.h"
#include "support/catch.h"
#include "support/meta_rows.h"
#include "support/paths.h"

// Logits, residual, loss and every gradient against PyTorch in float64.
namespace ane::model {
namespace {

using test::packed;
using test::Rig;

const std::filesystem::path kOracleFolder = ane::test::shared_dir() / "oracle";

std::vector<std::string> cases() {
  if (std::filesystem::exists(kOracleFolder))
    return {"micro", "gqa", "untied", "hf/llama", "hf/qwen2", "hf/qwen3", "hf/lora"};
  WARN("skipped: " << kOracleFolder << " is absent");
  return {};
}

/// One sequence of an oracle case through a model.
struct Run {
  /// `merges`: an adapter is merged into the model, which is then trained as a whole.
  Run(const std::string& name, KernelOptions options, float scale, bool merges = false)
      : Run(kOracleFolder / name, merges) {
    if (adapter) options.adapter = adapter->adapter;
    Llama model(config, options, rig.context);
    test::load(model.kernels(), PassMode::training, parameters);
    loss = test::evaluate(model, sample, parameters, times).loss;
    logits.assign(model.logits().begin(), model.logits().end());

    std::vector<float> flat(layout.size());
    const StepResult result = test::step(model, sample, parameters, scale, flat, times);
    overflow = result.overflow;
    step_loss = result.loss;
    for (std::size_t layer = 0; layer < config.layers; ++layer)
      residual.push_back(transposed(model.residual(layer), config.dim, config.seq_len));
    for (const Parameter& parameter : layout.parameters()) {
      std::vector<float>& gradient = gradients[parameter.name];
      for (const float value : slice(std::span<const float>(flat), parameter)) gradient.push_back(value / scale);
    }
  }

  [[nodiscard]] std::vector<float> expected(const std::string& name) const {
    const SafetensorsFile::Tensor& tensor = file.tensors().at(name);
    std::vector<float> values(static_cast<std::size_t>(mil::element_count(tensor.shape)));
    file.read(name, tensor.shape, values);
    return values;
  }
  [[nodiscard]] std::vector<float> expected_gradient(const Parameter& parameter) const {
    if (adapter) return expected("grad." + peft_name(parameter));
    if (is_hugging_face) return expected("grad." + parameter.name);
    return ane::test::from_meta_rows(parameter, expected("grad." + parameter.meta_name));
  }

  static std::vector<float> transposed(std::span<const float> from, std::size_t rows, std::size_t columns) {
    std::vector<float> to(from.size());
    for (std::size_t row = 0; row < rows; ++row)
      for (std::size_t column = 0; column < columns; ++column) to[column * rows + row] = from[row * columns + column];
    return to;
  }

  nlohmann::json description;
  bool is_hugging_face;
  SafetensorsFile file;
  ModelConfig config;
  ParameterLayout layout;
  std::optional<AdapterSource> adapter;  ///< if only that is trained
  FrozenParameters frozen;               ///< likewise, the model
  std::vector<float> parameters;
  data::Sample sample;
  Rig rig;
  StepTimes times;

  std::optional<ModelTensors> tensors;
  double loss = 0, step_loss = 0;
  std::optional<std::string> overflow;
  std::vector<float> logits;
  std::vector<std::vector<float>> residual;
  std::map<std::string, std::vector<float>> gradients;

 private:
  Run(const std::filesystem::path& folder, bool merges)
      : description(nlohmann::json::parse(std::ifstream(folder / "case.json"))),
        is_hugging_face(std::filesystem::exists(folder / "model")),
        file(folder / "expected.safetensors"),
        config(read_model_config(folder)),
        layout(parameter_layout(config)),
        sample{first_sequence(folder), {}, {}} {
    const bool has_adapter = std::filesystem::exists(folder / "adapter");
    if (has_adapter && !merges) {
      freeze_all(folder);
      return;
    }
    parameters.resize(layout.size());
    if (is_hugging_face) {
      const std::filesystem::path index = folder / "model" / kIndexFile;
      tensors.emplace(std::filesystem::exists(index) ? index : folder / "model/model.safetensors");
      read_tensors(*tensors, layout, parameters);
      if (has_adapter) {
        const AdapterSource to_merge = open_adapter(folder / "adapter", layout);
        for (const Parameter& each : layout.parameters()) merge(to_merge, each, slice(std::span(parameters), each));
      }
    } else {
      read_llama2c(folder / "weights.bin", layout, parameters);
    }
  }

  void freeze_all(const std::filesystem::path& folder) {
    tensors.emplace(folder / "model/model.safetensors");
    frozen = FrozenParameters(
        layout, [](const Parameter&) { return true; }, open_tensors(*tensors, layout));
    frozen.load_vectors();
    rig.context.frozen = &frozen;
    adapter = open_adapter(folder / "adapter", layout);
    layout = adapter->layout;
    parameters.resize(layout.size());
    read_all(*adapter->reader, layout, parameters);
  }

  [[nodiscard]] ModelConfig read_model_config(const std::filesystem::path& folder) const {
    if (!is_hugging_face) return read_llama2c_config(folder / "weights.bin");
    ModelConfig found = read_config(folder / "model" / kConfigFile);
    found.seq_len = description["config"]["seq_len"].get<std::size_t>();
    return found;
  }

  [[nodiscard]] std::vector<data::Token> first_sequence(const std::filesystem::path& folder) const {
    if (!is_hugging_face) return description["sequences"][0].get<std::vector<data::Token>>();
    std::ifstream tokens(folder / "tokens.bin", std::ios::binary);
    std::vector<std::uint16_t> stored(config.seq_len + 1);
    tokens.read(reinterpret_cast<char*>(stored.data()), static_cast<std::streamsize>(stored.size() * 2));
    REQUIRE(tokens);
    return {stored.begin(), stored.end()};
  }
};

TEST_CASE("in fp32 a step agrees with PyTorch in float64", "[model][oracle]") {
  const auto [weights, packing] = GENERATE(table<WeightMode, Packing>({{WeightMode::baked, Packing::width},
                                                                       {WeightMode::dynamic, Packing::width},
                                                                       {WeightMode::dynamic, Packing::channels}}));
  const PlanChoice plan = GENERATE(PlanChoice::split, PlanChoice::merged);
  for (const std::string& name : cases()) {
    INFO("case " << name << ", plan " << static_cast<int>(plan) << ", weights " << static_cast<int>(weights)
                 << ", packing " << static_cast<int>(packing));
    const Run run(name, packed(packing, {mil::DType::fp32, weights, plan}), 1);
    // Sums of a few hundred fp32 products: errors of about 1e-6 each, through three layers.
    constexpr double kAgreement = 1e-4;
    CHECK_FALSE(run.overflow);
    CHECK(run.loss == Approx(run.description["losses"][0].get<double>()).epsilon(kAgreement));
    CHECK(run.step_loss == run.loss);
    CHECK(test::relative_error(run.logits, run.expected("logits")) <= kAgreement);
    for (std::size_t layer = 0; layer < run.config.layers; ++layer)
      CHECK(test::relative_error(run.residual[layer], run.expected("stream." + std::to_string(layer))) <= kAgreement);
    for (const Parameter& parameter : run.layout.parameters()) {
      INFO(parameter.name);
      CHECK(test::relative_error(run.gradients.at(parameter.name), run.expected_gradient(parameter)) <= kAgreement);
    }
  }
}

TEST_CASE("in fp16 a step stays near PyTorch in float64", "[model][oracle]") {
  const auto [weights, packing] = GENERATE(table<WeightMode, Packing>({{WeightMode::baked, Packing::width},
                                                                       {WeightMode::dynamic, Packing::width},
                                                                       {WeightMode::dynamic, Packing::channels}}));
  const PlanChoice plan = GENERATE(PlanChoice::split, PlanChoice::merged);
  for (const std::string& name : cases()) {
    INFO("case " << name << ", plan " << static_cast<int>(plan) << ", weights " << static_cast<int>(weights)
                 << ", packing " << static_cast<int>(packing));
    constexpr float kScale = 256;
    const Run run(name, packed(packing, {mil::DType::fp16, weights, plan}), kScale);
    CHECK_FALSE(run.overflow);
    CHECK(run.loss == Approx(run.description["losses"][0].get<double>()).epsilon(2e-3));
    // Weights and every stored tensor are rounded to 11 bits: about 3e-4 each, over tens of consecutive tensors.
    for (const Parameter& parameter : run.layout.parameters()) {
      INFO(parameter.name);
      const std::vector<float>& gradient = run.gradients.at(parameter.name);
      const std::vector<float> expected = run.expected_gradient(parameter);
      CHECK(test::cosine(gradient, expected) >= 0.9995);
      CHECK(test::relative_error(gradient, expected) <= 0.02);
    }
  }
}

TEST_CASE("merged weights give the logits of the model with its adapter", "[model][oracle][adapter]") {
  if (cases().empty()) return;
  const Run run("hf/lora", {mil::DType::fp32, WeightMode::baked, PlanChoice::split}, 1, true);
  // As in a step without an adapter; merging rounds each weight once more, by 6e-8 of its magnitude.
  CHECK(test::relative_error(run.logits, run.expected("logits")) <= 1e-5);
  CHECK(run.loss == Approx(run.description["losses"][0].get<double>()).epsilon(1e-5));
}

}  // namespace
}  // namespace ane::model
