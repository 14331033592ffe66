#include "ane/model/adapter.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "app/program.h"
#include "app/small_model.h"
#include "app/small_run.h"
#include "support/catch.h"
#include "support/paths.h"

using namespace cli_test;
namespace fs = std::filesystem;

namespace {

using ane::model::ParameterLayout;

ParameterLayout small_layout() {
  return ane::model::parameter_layout(ane::model::config_from_json(small_config().dump(), "config.json"));
}

/// Writes an adapter of PEFT for the small model with random values of this deviation.
void write_small_adapter(const fs::path& directory, float deviation = 0.3F) {
  using namespace ane::model;
  const ParameterLayout base = small_layout();
  const Adapter adapter = {
      .rank = 4, .alpha = 8, .modules = modules_named(base, std::vector<std::string>{"q_proj", "down_proj"})};
  const ParameterLayout layout = adapter_parameters(adapter, base);
  std::vector<std::vector<float>> values;
  std::vector<NamedTensor> tensors;
  values.reserve(layout.parameters().size());
  for (const Parameter& parameter : layout.parameters()) {
    values.emplace_back(parameter.count);
    ane::math::fill_normal({13, parameter.offset}, deviation, values.back());
    tensors.push_back({peft_name(parameter), parameter.shape, values.back()});
  }
  fs::create_directories(directory);
  write_safetensors(directory / kAdapterFile, tensors, {{"format", "pt"}});
  write_file(directory / kAdapterConfigFile, peft_config_text(adapter, base, "the/base"));
}

nlohmann::json adapter_config(const Folder& folder, const std::string& adapter) {
  return nlohmann::json::parse(read_file(folder / (adapter + "/adapter_config.json")));
}

std::vector<std::string> names_of(const fs::path& directory) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

Result run_in(const Folder& folder, const Words& words) { return run(words, {}, folder.path()); }

void require_success(const Result& result) {
  CAPTURE(result.out, result.err);
  REQUIRE(result.code == 0);
}

/// A small model and an adapter for it.
class Adapted {
 public:
  Adapted() {
    write_small_model(folder_ / "model");
    write_small_adapter(folder_ / "adapter");
  }
  [[nodiscard]] const Folder& folder() const noexcept { return folder_; }
  [[nodiscard]] Result run_export(const std::string& format, const std::string& out, const Words& more) const {
    return run_in(folder_, Words{"export", "--model", "model", "--format", format, "--out", out} + more);
  }

 private:
  Folder folder_;
};

}  // namespace

TEST_CASE("with an adapter the greedy continuation equals that of float64 PyTorch", "[app][adapter][oracle]") {
  const fs::path reference = ane::test::shared_dir() / "oracle/hf/lora";
  if (!fs::exists(reference)) {
    WARN("skipped: there are no reference values in " << reference.string());
    return;
  }
  const auto description = nlohmann::json::parse(read_file(reference / "case.json"));
  const auto tokens = [&](const char* key) { return description.at(key).get<std::vector<int>>(); };
  const std::string model = (reference / "model").string();
  const std::string adapter = (reference / "adapter").string();
  const Folder folder;
  const auto check = [&](const std::string& sampled, const Words& more) {
    const Words words = {"sample",
                         "--model",
                         sampled,
                         "--device",
                         "host",
                         "--max-tokens",
                         "24",
                         "--precision",
                         "fp32",
                         "--temperature",
                         "0",
                         "--tokens",
                         "--prompt-tokens",
                         fmt::format("{}", fmt::join(tokens("prompt"), ","))};
    const Result result = run_in(folder, words + more);
    CAPTURE(sampled, more, result.err);
    REQUIRE(result.code == 0);
    CHECK(result.out == fmt::format("{}\n", fmt::join(tokens("greedy"), " ")));
  };
  check(model, {"--lora", adapter});
  const Words of_adapter = {"export", "--model", model, "--lora", adapter};
  require_success(run_in(folder, of_adapter + Words{"--format", "mlx", "--out", "mlx"}));
  check(model, {"--lora", "mlx"});
  require_success(run_in(folder, of_adapter + Words{"--merge", "--format", "hf", "--dtype", "f32", "--out", "merged"}));
  check("merged", {});
}

TEST_CASE("eval and sample with an adapter compute what the merged model computes", "[app][adapter]") {
  const Adapted adapted;
  const Folder& folder = adapted.folder();
  require_success(adapted.run_export("hf", "merged", {"--lora", "adapter", "--merge"}));
  require_success(adapted.run_export("mlx", "mlx", {"--lora", "adapter"}));
  write_file(folder / "text.txt", std::string(300, 'a') + std::string(300, 'b'));
  const auto loss = [&](const std::string& model, const Words& more) {
    const Result result = run_in(folder, Words{"eval", "--model", model, "--data", "text.txt", "--seq", "32",
                                               "--device", "host", "--precision", "fp32", "--json"} +
                                             more);
    require_success(result);
    return nlohmann::json::parse(result.out).at("loss").get<double>();
  };
  const double merged = loss("merged", {});
  CHECK(loss("model", {"--lora", "adapter"}) == merged);
  CHECK(loss("model", {"--lora", "mlx"}) == merged);
  CHECK(std::abs(loss("model", {}) - merged) > 0.01);

  const auto continuation = [&](const std::string& model, const Words& more) {
    const Result result = run_in(folder, Words{"sample", "--model", model, "--prompt-tokens", "97,97", "--tokens",
                                               "--max-tokens", "20", "--device", "host", "--precision", "fp32"} +
                                             more);
    require_success(result);
    return result.out;
  };
  CHECK(continuation("model", {"--lora", "adapter"}) == continuation("merged", {}));
  CHECK(continuation("model", {}) != continuation("merged", {}));
}

TEST_CASE("an adapter is exported to MLX's format and back with the same tensors", "[app][adapter][export]") {
  const Adapted adapted;
  const Folder& folder = adapted.folder();
  const Result result = adapted.run_export("mlx", "mlx/", {"--lora", "adapter"});
  require_success(result);
  CHECK(result.out == "mlx: 8 tensors, 1280 parameters\n");
  CHECK(names_of(folder / "mlx") == std::vector<std::string>{"adapter_config.json", "adapters.safetensors"});
  CHECK(
      adapter_config(folder, "mlx").at("lora_parameters") ==
      nlohmann::json({{"dropout", 0.0}, {"keys", {"mlp.down_proj", "self_attn.q_proj"}}, {"rank", 4}, {"scale", 2.0}}));
  CHECK(adapter_config(folder, "mlx").at("model") == "the/base");
  require_success(adapted.run_export("peft", "back", {"--lora", "mlx"}));
  CHECK(tensor_bytes(folder / "back/adapter_model.safetensors") ==
        tensor_bytes(folder / "adapter/adapter_model.safetensors"));
  CHECK(adapter_config(folder, "back") == adapter_config(folder, "adapter"));

  require_success(adapted.run_export("peft", "half", {"--lora", "adapter", "--dtype", "bf16"}));
  CHECK(ane::model::SafetensorsFile(folder / "half/adapter_model.safetensors").tensors().begin()->second.dtype ==
        "BF16");
}

TEST_CASE("an adapter that does not name its model gets the name of the option", "[app][adapter][export]") {
  const Adapted adapted;
  nlohmann::json config = adapter_config(adapted.folder(), "adapter");
  config.erase("base_model_name_or_path");
  config["lora_dropout"] = 0.1;
  write_file(adapted.folder() / "adapter/adapter_config.json", config.dump());
  const Result result = adapted.run_export("peft", "out", {"--lora", "adapter"});
  require_success(result);
  CHECK(adapter_config(adapted.folder(), "out").at("base_model_name_or_path") == "model");
  CHECK(count(result.err, "its dropout of 0.1 is ignored") == 1);
}

TEST_CASE("a merged model is exported in llama2.c's format and keeps its dtype and companions",
          "[app][adapter][export]") {
  const Adapted adapted;
  const Folder& folder = adapted.folder();
  require_success(adapted.run_export("hf", "merged", {"--lora", "adapter", "--merge"}));
  CHECK(read_file(folder / "merged/tokenizer.json") == kTokenizer);
  require_success(adapted.run_export("llama2c", "merged.bin", {"--lora", "adapter", "--merge"}));
  require_success(run_in(folder, {"export", "--model", "merged.bin", "--format", "hf", "--out", "back"}));
  CHECK(tensor_bytes(folder / "back/model.safetensors") == tensor_bytes(folder / "merged/model.safetensors"));
  // An adapter can be merged into a file of llama2.c, too.
  require_success(adapted.run_export("llama2c", "base.bin", {}));
  require_success(run_in(
      folder, {"export", "--model", "base.bin", "--lora", "adapter", "--merge", "--format", "hf", "--out", "of_file"}));
  CHECK(tensor_bytes(folder / "of_file/model.safetensors") == tensor_bytes(folder / "merged/model.safetensors"));

  write_small_model(folder / "half", small_config(), "BF16");
  require_success(run_in(
      folder, {"export", "--model", "half", "--lora", "adapter", "--merge", "--format", "hf", "--out", "half_merged"}));
  const ane::model::SafetensorsFile merged(folder / "half_merged/model.safetensors");
  for (const auto& [name, tensor] : merged.tensors()) CHECK(tensor.dtype == "BF16");
}

TEST_CASE("the options --lora and --merge are refused where they make no sense", "[app][adapter][malformed]") {
  const Adapted adapted;
  struct Case {
    std::string format;
    Words more;
    const char* fault;
  };
  const std::vector<Case> cases = {
      {"hf", {"--merge"}, "--merge: name the adapter with --lora DIR"},
      {"peft", {}, "--format peft writes an adapter; name it with --lora DIR"},
      {"mlx", {"--merge"}, "--merge: name the adapter with --lora DIR"},
      {"peft", {"--lora", "adapter", "--merge"}, "--merge writes a whole model, but --format peft writes an adapter"},
      {"hf", {"--lora", "adapter"}, "--format hf writes a whole model; add --merge"},
      {"llama2c", {"--lora", "adapter"}, "--format llama2c writes a whole model; add --merge"},
      {"hf", {"--lora", "", "--merge"}, "--lora: the value is empty"},
      {"gguf", {"--lora", "adapter"}, "one of hf, llama2c, peft, mlx"},
  };
  for (const Case& each : cases) {
    const Result result = adapted.run_export(each.format, "out", each.more);
    CAPTURE(each.format, each.more, result.err);
    CHECK(result.code == 2);
    CHECK_THAT(result.err, ANE_CONTAINS(each.fault));
  }
  CHECK(names_of(adapted.folder().path()) == std::vector<std::string>{"adapter", "model"});
}

TEST_CASE("every command refuses an unusable adapter with one error, and nothing is written",
          "[app][adapter][malformed]") {
  const Adapted adapted;
  const Folder& folder = adapted.folder();
  write_file(folder / "text.txt", std::string(300, 'a'));
  const auto check = [&](const std::string& fault) {
    const std::vector<Words> commands = {
        {"export", "--model", "model", "--format", "mlx", "--out", "out"},
        {"export", "--model", "model", "--merge", "--format", "hf", "--out", "out"},
        {"sample", "--model", "model", "--prompt-tokens", "1", "--tokens"},
        {"eval", "--model", "model", "--data", "text.txt", "--seq", "32"},
    };
    for (const Words& command : commands) {
      const Result result = run_in(folder, command + Words{"--lora", "adapter"});
      CAPTURE(command, result.err);
      CHECK(result.code == 3);
      CHECK(result.out.empty());
      CHECK(count(result.err, "ane-train: ") == 1);
      CHECK_THAT(result.err, ANE_CONTAINS(fault));
    }
    CHECK(names_of(folder.path()) == std::vector<std::string>{"adapter", "model", "text.txt"});
  };
  nlohmann::json config = adapter_config(folder, "adapter");
  config["use_dora"] = true;
  write_file(folder / "adapter/adapter_config.json", config.dump());
  check("'use_dora' is set, but adapters with DoRA are not supported");
  write_small_adapter(folder / "adapter", 1e30F);
  write_small_model(folder / "model");
  const Result overflow =
      run_in(folder, {"export", "--model", "model", "--merge", "--format", "hf", "--out", "out", "--lora", "adapter"});
  CHECK(overflow.code == 3);
  CHECK_THAT(overflow.err, ANE_CONTAINS("merging it gives non-finite values in"));
  CHECK_FALSE(fs::exists(folder / "out"));
  nlohmann::json wider = small_config();
  wider["hidden_size"] = 64;
  write_small_model(folder / "model", wider);
  check("does the adapter belong to another model?");
  fs::remove_all(folder / "adapter");
  write_file(folder / "adapter", "no directory");
  check("expected the directory of an adapter, with adapter_config.json");
}

TEST_CASE("a model that is an adapter's directory is refused with advice", "[app][adapter][malformed]") {
  const Adapted adapted;
  const Result result = run_in(adapted.folder(), {"export", "--model", "adapter", "--format", "hf", "--out", "out"});
  CHECK(result.code == 3);
  CHECK_THAT(result.err,
             ANE_CONTAINS("model 'adapter' is the directory of an adapter; name the model that it belongs to "
                          "with --model, and the adapter with --lora"));
}

TEST_CASE("an adapter's directory may have other files, as checkpoints do", "[app][adapter]") {
  const Adapted adapted;
  write_file(adapted.folder() / "adapter/trainer.json", "{}");
  write_file(adapted.folder() / "adapter/README.md", "A LoRA.");
  require_success(adapted.run_export("mlx", "mlx", {"--lora", "adapter"}));
}
