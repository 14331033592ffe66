#include <algorithm>
#include <cmath>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "ane/model/adapter.h"
#include "ane/model/models.h"
#include "ane/model/safetensors.h"
#include "ane/model/weight_files.h"

#include "app/program.h"
#include "app/small_run.h"
#include "support/catch.h"
#include "support/meta_rows.h"
#include "support/paths.h"
#include "support/sanitized.h"

using namespace cli_test;
namespace fs = std::filesystem;

namespace {

/// A training run of the oracle, if available: a llama2.c model, or one of Hugging Face in "hf/...".
class Case {
 public:
  explicit Case(const std::string& name)
      : hugging_face_(name.starts_with("hf/")), folder_(ane::test::shared_dir() / "oracle" / name) {
    if (!fs::exists(folder_)) {
      WARN("skipped: there are no reference values in " << folder_.string());
      return;
    }
    reference_ = nlohmann::json::parse(read_file(folder_ / "case.json"));
  }
  [[nodiscard]] bool is_there() const { return !reference_.is_null(); }
  [[nodiscard]] const nlohmann::json& reference() const { return reference_; }
  [[nodiscard]] int updates() const { return reference_.at("steps").get<int>(); }
  [[nodiscard]] int steps() const { return updates() * reference_.at("accum_steps").get<int>(); }

  [[nodiscard]] Words settings() const {
    Words words = {"--model",          model().string(),
                   "--data",           (folder_ / "tokens.bin").string(),
                   "--data-order",     "sequential",
                   "--grad-clip",      "0",
                   "--steps",          fmt::format("{}", steps()),
                   "--log-every",      "1",
                   "--accum-steps",    reference_.at("accum_steps").dump(),
                   "--checkpoint-dir", "trained"};
    const auto& optimizer = reference_.at("optimizer");
    for (const std::string name : {"lr", "beta1", "beta2", "eps"})
      words = words + Words{"--" + name, optimizer.at(name).dump()};
    if (hugging_face_) words = words + Words{"--seq", reference_.at("config").at("seq_len").dump()};
    if (has_adapter()) words = words + Words{"--lora", (folder_ / "adapter").string()};
    return words + Words{"--weight-decay", optimizer.at("weight_decay").dump()};
  }

  /// Deviation of a run in `folder` from the reference, as relative Frobenius norms.
  struct Errors {
    double largest = 0;    ///< largest per tensor, relative to the tensor
    double of_change = 0;  ///< over all tensors, relative to the change by training
  };
  [[nodiscard]] Errors errors_of(const Folder& folder) const {
    using namespace ane::model;
    const std::string file = has_adapter() ? kAdapterFile : "model.safetensors";
    const SafetensorsFile trained(folder / fmt::format("trained/step-{:08}/{}", steps(), file));
    const SafetensorsFile expected(folder_ / "expected.safetensors");
    ParameterLayout layout = parameter_layout(config());
    std::vector<float> initial(layout.size());
    if (has_adapter()) {
      const AdapterSource adapter = open_adapter(folder_ / "adapter", layout);
      layout = adapter.layout;
      initial.resize(layout.size());
      read_all(*adapter.reader, layout, initial);
    } else if (hugging_face_) {
      read_tensors(ModelTensors(model_file()), layout, initial);
    } else {
      read_llama2c(model(), layout, initial);
    }
    REQUIRE(trained.tensors().size() == layout.parameters().size());
    Errors errors;
    double all_differences = 0;
    double all_changes = 0;
    for (const Parameter& parameter : layout.parameters()) {
      std::vector<float> ours(parameter.count);
      std::vector<float> theirs(parameter.count);
      const std::string own_name = has_adapter() ? peft_name(parameter) : parameter.name;
      trained.read(own_name, parameter.shape, ours);
      const std::string& name = hugging_face_ ? own_name : parameter.meta_name;
      expected.read(fmt::format("after{}.{}", updates(), name), parameter.shape, theirs);
      if (!hugging_face_) theirs = ane::test::from_meta_rows(parameter, theirs);
      const std::span<const float> before = slice(std::span<const float>(initial), parameter);
      double difference = 0;
      double norm = 0;
      for (std::size_t i = 0; i < ours.size(); ++i) {
        difference += std::pow(double{ours[i]} - double{theirs[i]}, 2);
        norm += std::pow(double{theirs[i]}, 2);
        all_changes += std::pow(double{theirs[i]} - double{before[i]}, 2);
      }
      all_differences += difference;
      errors.largest = std::max(errors.largest, std::sqrt(difference / norm));
    }
    errors.of_change = std::sqrt(all_differences / all_changes);
    return errors;
  }

 private:
  [[nodiscard]] bool has_adapter() const { return fs::exists(folder_ / "adapter"); }
  [[nodiscard]] fs::path model() const { return folder_ / (hugging_face_ ? "model" : "weights.bin"); }
  [[nodiscard]] fs::path model_file() const {
    const fs::path index = model() / ane::model::kIndexFile;
    return fs::exists(index) ? index : model() / "model.safetensors";
  }
  [[nodiscard]] ane::model::ModelConfig config() const {
    if (!hugging_face_) return ane::model::read_llama2c_config(model());
    return ane::model::config_from_json(read_file(model() / "config.json"), "config.json");
  }

  bool hugging_face_;
  fs::path folder_;
  nlohmann::json reference_;
};

struct OracleVariant {
  std::string name, weights, plan;
};
OracleVariant generate_variant() {
  OracleVariant variant;
  variant.name = GENERATE(as<std::string>(), "micro", "gqa", "untied", "hf/llama", "hf/qwen2", "hf/qwen3", "hf/lora");
  variant.weights = GENERATE(as<std::string>(), "baked", "dynamic");
  if (kSanitized)  // each value of both
    variant.plan = variant.weights == "baked" ? "split" : "merged";
  else
    variant.plan = GENERATE(as<std::string>(), "split", "merged");
  return variant;
}

}  // namespace

TEST_CASE("training from the command line ends with float64 PyTorch's parameters", "[app][oracle]") {
  const auto [name, weights, plan] = generate_variant();
  CAPTURE(name, weights, plan);
  const Case oracle(name);
  if (!oracle.is_there()) return;
  const Folder folder;
  const Words modes = {"--device", "host", "--precision", "fp32", "--weights", weights, "--plan", plan};
  const Result result = run(oracle.settings() + modes, {"ANE_MAX_COMPILES=40"}, folder.path());
  CAPTURE(result.out, result.err);
  REQUIRE(result.code == 0);
  int step = 0;
  for (const auto& loss : oracle.reference().at("losses")) {
    CHECK_THAT(result.out, ANE_CONTAINS(fmt::format("step {:<4} loss={:.4f} ", ++step, loss.get<double>())));
  }
  // fp32 sums of a few hundred terms are accurate to 1e-6; AdamW divides by small roots and loses some of that.
  CHECK(oracle.errors_of(folder).largest <= 1e-4);
}

TEST_CASE("training in fp16 stays near float64 PyTorch's parameters", "[app][oracle]") {
  const auto [name, weights, plan] = generate_variant();
  CAPTURE(name, weights, plan);
  const Case oracle(name);
  if (!oracle.is_there()) return;
  std::vector<std::string> programs = {ANE_TRAIN_PROGRAM};
#ifdef ANE_TRAIN_STANDIN
  if (name == "micro" || name.starts_with("hf/"))
    programs.emplace_back(ANE_TRAIN_STANDIN);  // the others' sequences are not multiples of 32
#endif
  for (const std::string& program : programs) {
    CAPTURE(program);
    const Folder folder;
    const Words modes = {"--device", program == ANE_TRAIN_PROGRAM ? "host" : "ane", "--weights", weights, "--plan",
                         plan};
    const Result result = Program(oracle.settings() + modes, {"ANE_MAX_COMPILES=40"}, folder.path(), program).wait();
    CAPTURE(result.out, result.err);
    REQUIRE(result.code == 0);
    // Rounding to fp16 may change the sign of a tiny gradient, and AdamW moves by the learning rate either way.
    CHECK(oracle.errors_of(folder).of_change <= 0.05);
  }
}
