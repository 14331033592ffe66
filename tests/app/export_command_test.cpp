#include "ane/app/export_command.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "ane/model/model_tensors.h"

#include "app/program.h"
#include "app/small_model.h"
#include "app/small_run.h"
#include "support/catch.h"

using namespace cli_test;
namespace fs = std::filesystem;

namespace {

Result run_export(const Folder& folder, const std::string& model, const std::string& format, const std::string& out,
                  const Words& more = {}) {
  return run(Words{"export", "--model", model, "--format", format, "--out", out} + more, {}, folder.path());
}

std::vector<std::string> names_in(const fs::path& directory) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

/// The small model with other values for some entries.
nlohmann::json config_with(const nlohmann::json& changes) {
  nlohmann::json config = small_config();
  config.update(changes);
  return config;
}

}  // namespace

TEST_CASE("a Hugging Face model is exported with the same tensors, config and tokenizer", "[app][export]") {
  const auto [dtype, torch_dtype] =
      GENERATE(table<std::string, std::string>({{"F32", "float32"}, {"BF16", "bfloat16"}, {"F16", "float16"}}));
  CAPTURE(dtype);
  const Folder folder;
  write_small_model(folder / "model", config_with({{"torch_dtype", torch_dtype}}), dtype);
  const Result result = run_export(folder, "model", "hf", "out/");
  CAPTURE(result.out, result.err);
  REQUIRE(result.code == 0);
  CHECK(tensor_bytes(folder / "out/model.safetensors") == tensor_bytes(folder / "model/model.safetensors"));
  CHECK(nlohmann::json::parse(read_file(folder / "out/config.json")) ==
        nlohmann::json::parse(read_file(folder / "model/config.json")));
  CHECK(read_file(folder / "out/tokenizer.json") == kTokenizer);
  CHECK(read_file(folder / "out/tokenizer.model") == kSentencePiece);
  CHECK(names_in(folder / "out") ==
        std::vector<std::string>{"config.json", "model.safetensors", "tokenizer.json", "tokenizer.model"});
  CHECK(names_in(folder.path()) == std::vector<std::string>{"model", "out"});
  // transformers opens only files whose metadata say so.
  CHECK(ane::model::SafetensorsFile(folder / "out/model.safetensors").metadata().at("format") == "pt");
}

TEST_CASE("a model of several files is exported as one", "[app][export]") {
  const Folder folder;
  write_small_model(folder / "one");
  // Two shards, made of the tensors of the one file.
  const ane::model::SafetensorsFile whole(folder / "one/model.safetensors");
  fs::create_directories(folder / "shards");
  fs::copy_file(folder / "one/config.json", folder / "shards/config.json");
  nlohmann::json index;
  for (const std::string shard : {"a", "b"}) {
    std::vector<std::vector<float>> values;
    std::vector<ane::model::NamedTensor> tensors;
    for (const auto& [name, tensor] : whole.tensors()) {
      if ((name.find("norm") == std::string::npos) != (shard == "a")) continue;
      values.emplace_back(static_cast<std::size_t>(tensor.size_bytes / 4));
      whole.read(name, tensor.shape, values.back());
      index["weight_map"][name] = shard + ".safetensors";
      tensors.push_back({name, tensor.shape, values.back()});
    }
    ane::model::write_safetensors(folder / ("shards/" + shard + ".safetensors"), tensors, {});
  }
  write_file(folder / "shards/model.safetensors.index.json", index.dump());
  REQUIRE(run_export(folder, "shards", "hf", "out").code == 0);
  CHECK(tensor_bytes(folder / "out/model.safetensors") == tensor_bytes(folder / "one/model.safetensors"));
}

TEST_CASE("a model survives the way to llama2.c's format and back", "[app][export]") {
  const bool tied = GENERATE(false, true);
  const Folder folder;
  write_small_model(folder / "model", config_with({{"tie_word_embeddings", tied}}));
  REQUIRE(run_export(folder, "model", "llama2c", "m.bin").code == 0);
  const Result back = run_export(folder, "m.bin", "hf", "back");
  CAPTURE(back.out, back.err);
  REQUIRE(back.code == 0);
  CHECK(tensor_bytes(folder / "back/model.safetensors") == tensor_bytes(folder / "model/model.safetensors"));
  const nlohmann::json config = nlohmann::json::parse(read_file(folder / "back/config.json"));
  for (const char* entry : {"hidden_size", "vocab_size", "max_position_embeddings", "tie_word_embeddings"})
    CHECK(config.at(entry) == config_with({{"tie_word_embeddings", tied}}).at(entry));
  REQUIRE(run_export(folder, "back", "llama2c", "again.bin").code == 0);
  CHECK((read_file(folder / "m.bin") == read_file(folder / "again.bin")));
}

TEST_CASE("the option --dtype rounds the weights and is recorded", "[app][export]") {
  const Folder folder;
  write_small_model(folder / "model");
  REQUIRE(run_export(folder, "model", "hf", "half", {"--dtype", "bf16"}).code == 0);
  CHECK(nlohmann::json::parse(read_file(folder / "half/config.json")).at("torch_dtype") == "bfloat16");
  const ane::model::SafetensorsFile exact(folder / "model/model.safetensors");
  const ane::model::SafetensorsFile rounded(folder / "half/model.safetensors");
  for (const auto& [name, tensor] : exact.tensors()) {
    std::vector<float> before(static_cast<std::size_t>(tensor.size_bytes / 4));
    std::vector<float> after(before.size());
    exact.read(name, tensor.shape, before);
    rounded.read(name, tensor.shape, after);
    CHECK(rounded.tensors().at(name).dtype == "BF16");
    // bf16 has 8 bits of significand, so rounding changes a value by at most 2^-9 of its power of two.
    for (std::size_t i = 0; i < before.size(); ++i)
      REQUIRE(std::abs(after[i] - before[i]) <= 0x1p-8F * std::abs(before[i]));
  }
  REQUIRE(run_export(folder, "half", "hf", "wide", {"--dtype", "f32"}).code == 0);
  REQUIRE(run_export(folder, "wide", "hf", "again", {"--dtype", "bf16"}).code == 0);
  CHECK(tensor_bytes(folder / "again/model.safetensors") == tensor_bytes(folder / "half/model.safetensors"));
}

TEST_CASE("a model that llama2.c's program would compute differently is refused by name", "[app][export]") {
  struct Case {
    nlohmann::json changes;
    const char* fault;
  };
  const std::vector<Case> cases = {
      {{{"rope_theta", 500000.0}}, "rope_theta is 500000, but llama2.c's program assumes 10000"},
      {{{"rms_norm_eps", 1e-6}}, "rms_norm_eps is 1e-06, but llama2.c's program assumes 1e-05"},
      {{{"head_dim", 16}}, "head_dim is 16, but llama2.c's program assumes hidden_size / num_attention_heads, 32 / 4"},
      {{{"rope_scaling",
         {{"rope_type", "llama3"},
          {"factor", 8.0},
          {"low_freq_factor", 1.0},
          {"high_freq_factor", 4.0},
          {"original_max_position_embeddings", 64}}}},
       "rope_scaling"}};
  for (const Case& each : cases) {
    const Folder folder;
    write_small_model(folder / "model", config_with(each.changes));
    const Result refused = run_export(folder, "model", "llama2c", "m.bin");
    CAPTURE(each.fault, refused.err);
    CHECK(refused.code == 2);
    CHECK_THAT(refused.err, ANE_CONTAINS(each.fault) && ANE_CONTAINS("model 'model'"));
    CHECK(names_in(folder.path()) == std::vector<std::string>{"model"});
    CHECK(run_export(folder, "model", "hf", "out").code == 0);
  }
}

TEST_CASE("an existing output stays", "[app][export]") {
  const Folder folder;
  write_small_model(folder / "model");
  write_file(folder / "file", "precious");
  fs::create_directories(folder / "directory");
  fs::create_symlink("nowhere", folder / "link");
  for (const std::string format : {"hf", "llama2c"}) {
    for (const std::string out : {"file", "directory", "link", "model", "model/"}) {
      const Result refused = run_export(folder, "model", format, out);
      CAPTURE(format, out, refused.err);
      CHECK(refused.code == 2);
      CHECK_THAT(refused.err, ANE_CONTAINS("exists already"));
    }
  }
  CHECK(read_file(folder / "file") == "precious");
  CHECK(names_in(folder.path()) == std::vector<std::string>{"directory", "file", "link", "model"});
}

TEST_CASE("a failed export leaves nothing behind", "[app][export]") {
  const Folder folder;
  write_small_model(folder / "model");
  const std::vector<std::string> before = names_in(folder.path());
  for (const std::string format : {"hf", "llama2c"}) {
    CAPTURE(format);
    // A file size limit of 16 kB stands for a full disk.
    const Result full = run_in_shell(R"(ulimit -f 32; exec "$0" "$@")",
                                     {"export", "--model", "model", "--format", format, "--out", "out"}, folder.path());
    CAPTURE(full.err);
    CHECK(full.code == 3);
    CHECK_THAT(full.err, ANE_CONTAINS("writing failed"));
    CHECK(names_in(folder.path()) == before);
    const Result nowhere = run_export(folder, "model", format, "absent/out");
    CHECK(nowhere.code == 3);
    CHECK_THAT(nowhere.err, ANE_CONTAINS("absent/out"));
    CHECK(names_in(folder.path()) == before);
  }
}

TEST_CASE("values that a dtype cannot hold are refused with the tensor's name", "[app][export]") {
  const Folder folder;
  write_small_model(folder / "model");
  std::string bytes = read_file(folder / "model/model.safetensors");
  const float large = 70000;
  bytes.replace(bytes.size() - sizeof large, sizeof large, reinterpret_cast<const char*>(&large), sizeof large);
  write_file(folder / "model/model.safetensors", bytes);
  const Result refused = run_export(folder, "model", "hf", "out", {"--dtype", "f16"});
  CAPTURE(refused.err);
  CHECK(refused.code == 3);
  CHECK_THAT(refused.err, ANE_CONTAINS("tensor 'lm_head.weight'") && ANE_CONTAINS("70000"));
  CHECK(names_in(folder.path()) == std::vector<std::string>{"model"});
  CHECK(run_export(folder, "model", "hf", "out", {"--dtype", "bf16"}).code == 0);
}

TEST_CASE("wrong options and models of an export give one message and their exit code", "[app][export]") {
  const Folder folder;
  write_small_model(folder / "model");
  fs::create_directories(folder / "bare");
  fs::copy_file(folder / "model/model.safetensors", folder / "bare/model.safetensors");
  struct Case {
    Words arguments;
    int code;
    const char* fault;
  };
  const std::vector<Case> cases = {
      {{}, 2, "missing --model"},
      {{"--model", "model"}, 2, "missing --format"},
      {{"--model", "model", "--format", "hf"}, 2, "missing --out"},
      {{"--model", "model", "--format", "gguf", "--out", "x"}, 2, "--format: 'gguf' is not one of hf, llama2c"},
      {{"--model", "model", "--format", "hf", "--out", "x", "--dtype", "fp8"}, 2, "--dtype: 'fp8' is not one of"},
      {{"--model", "model", "--format", "llama2c", "--out", "x", "--dtype", "bf16"}, 2, "only f32"},
      {{"--model", "model", "--format", "hf", "--out", ""}, 2, "--out: the value is empty"},
      {{"--model", "absent", "--format", "hf", "--out", "x"}, 2, "expected llama2.c's .bin"},
      {{"--model", "bare", "--format", "hf", "--out", "x"}, 3, "nor a config.json beside it describes the model"},
      {{"--model", ".", "--format", "hf", "--out", "x"}, 3, "is a directory without model.safetensors"}};
  for (const Case& each : cases) {
    const Result refused = run(Words{"export"} + each.arguments, {}, folder.path());
    CAPTURE(each.fault, refused.err);
    CHECK(refused.code == each.code);
    CHECK_THAT(refused.err, ANE_CONTAINS(each.fault));
    CHECK(count(refused.err, "\n") == 1);
  }
  CHECK(names_in(folder.path()) == std::vector<std::string>{"bare", "model"});
}

TEST_CASE("a directory whose files are links to nothing is not mistaken for one without them", "[app][export]") {
  const Folder folder;
  const auto refused = [&](const std::string& name, const std::string& fault) {
    write_small_model(folder / "model");
    fs::remove(folder / ("model/" + name));
    fs::create_symlink("missing", folder / ("model/" + name));
    const Result result = run_export(folder, "model", "hf", "out");
    CAPTURE(name, result.err);
    CHECK(result.code == 3);
    CHECK_THAT(result.err, ANE_CONTAINS(fault));
    CHECK_FALSE(fs::exists(folder / "out"));
    fs::remove_all(folder / "model");
  };
  for (const char* name : {"config.json", "model.safetensors", "tokenizer.model"})
    refused(name, fmt::format("model/{}' does not exist", name));
}

TEST_CASE("tensors that are not those of the config are refused with the file that describes the model",
          "[app][export]") {
  const Folder folder;
  write_small_model(folder / "model");
  nlohmann::json config = nlohmann::json::parse(read_file(folder / "model/config.json"));
  config["vocab_size"] = 257;
  write_file(folder / "model/config.json", config.dump());
  const Result result = run_export(folder, "model", "hf", "out");
  CHECK(result.code == 3);
  CHECK_THAT(result.err, ANE_CONTAINS("expected [257,") && ANE_CONTAINS("described by model/config.json"));
  fs::remove(folder / "model/config.json");
  const Result bare = run({"eval", "--model", "model", "--data", "synthetic", "--seq", "16"}, {}, folder.path());
  CHECK(bare.code == 3);
  CHECK_THAT(bare.err, ANE_CONTAINS("there is no config.json beside it"));
}

TEST_CASE("a name in a file cannot control the terminal", "[app][export]") {
  const Folder folder;
  write_small_model(folder / "model");
  fs::remove(folder / "model/model.safetensors");
  write_file(folder / "model/model.safetensors.index.json", R"({"weight_map": {"a\u001b[2J": 5}})");
  const Result result = run_export(folder, "model", "hf", "out");
  CHECK(result.code == 3);
  CHECK_THAT(result.err, ANE_CONTAINS("the file of tensor 'a\xef\xbf\xbd[2J' is not a string"));
}

TEST_CASE("a signal stops an export, which leaves nothing behind", "[app][export]") {
  const Folder folder;
  write_small_model(folder / "model", config_with({{"num_hidden_layers", 100}, {"hidden_size", 64}}));
  const std::string format = GENERATE(as<std::string>(), "hf", "llama2c");
  CAPTURE(format);
  const auto has_begun = [&] { return names_in(folder.path()).size() > 1; };
  constexpr int kAttempts = 50;  // an export may end before the signal arrives
  for (int i = 0; i < kAttempts; ++i) {
    Program program({"export", "--model", "model", "--format", format, "--out", "out"}, {}, folder.path());
    while (!has_begun() && !program.has_ended()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (!program.has_ended()) program.send(SIGTERM);
    const Result result = program.wait();
    CAPTURE(i, result.out, result.err);
    if (result.code == 0) {
      fs::remove_all(folder / "out");
      continue;
    }
    CHECK(result.code == 128 + SIGTERM);
    CHECK_THAT(result.err, ANE_CONTAINS("stopped by signal 15; nothing was written"));
    CHECK(names_in(folder.path()) == std::vector<std::string>{"model"});
    return;
  }
  FAIL("no export was stopped");
}
