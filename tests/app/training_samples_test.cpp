#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/program.h"
#include "app/small_model.h"
#include "app/small_run.h"
#include "app/telemetry_records.h"
#include "support/catch.h"

/// Samples of text while a model is trained: --sample-every.
namespace {

using namespace cli_test;
namespace fs = std::filesystem;

constexpr const char* kPrompt = "aab\nb";

/// 5 updates.
const Words kSampledRun = with(with(kSmall, "--vocab", "256"), "--lr", "0.01") +
                          Words{"--data",   "text.txt",  "--steps",     "10",      "--checkpoint-dir", "c",
                                "--output", "dashboard", "--telemetry", "t.jsonl", "--log-every",      "2"};
const Words kSamples = {"--sample-every", "2", "--sample-prompt", kPrompt, "--sample-tokens", "12"};

void write_letters(const Folder& folder) {
  write_file(folder / "text.txt", std::string(500, 'a') + std::string(500, 'b') + std::string(2000, 'c'));
}

/// A tokenizer of llama2.c with the tokens <unk>, <s>, </s> and one for each byte.
void write_byte_tokenizer(const fs::path& path) {
  std::string file;
  const auto add_number = [&](const auto& number) {
    file.append(reinterpret_cast<const char*>(&number), sizeof number);
  };
  add_number(std::int32_t{7});  // bytes of the longest token
  const auto add_token = [&](const std::string& token) {
    add_number(0.0F);
    add_number(static_cast<std::int32_t>(token.size()));
    file += token;
  };
  for (const char* token : {"<unk>", "\n<s>\n", "\n</s>\n"}) add_token(token);
  for (int byte = 0; byte < 256; ++byte) add_token(fmt::format("<0x{:02X}>", byte));
  write_file(path, file);
}

/// The records of samples, without times.
std::vector<nlohmann::json> samples_in(const fs::path& telemetry) {
  std::vector<nlohmann::json> samples = telemetry_records(telemetry, "sample");
  for (nlohmann::json& sample : samples) {
    sample.erase("time");
    sample.erase("ms");
  }
  return samples;
}

std::vector<std::int64_t> updates_of(const std::vector<nlohmann::json>& samples) {
  std::vector<std::int64_t> updates;
  for (const nlohmann::json& sample : samples) updates.push_back(sample.at("update").get<std::int64_t>());
  return updates;
}

std::string weights(const fs::path& directory) { return read_file(directory / "c/step-00000010/model.safetensors"); }

}  // namespace

TEST_CASE("samples change no bit of a run and are the same however it is divided", "[app][sample][resume]") {
  const Folder plain;
  const Folder whole;
  const Folder divided;
  for (const Folder* folder : {&plain, &whole, &divided}) write_letters(*folder);
  const Words mode = GENERATE(Words{}, Words{"--weights", "dynamic"}, Words{"--parallel-sequences", "1"});
  REQUIRE(run(kSampledRun + mode, {}, plain.path()).code == 0);
  const Result sampled = run(kSampledRun + mode + kSamples, {}, whole.path());
  CAPTURE(sampled.out, sampled.err);
  REQUIRE(sampled.code == 0);
  const Result restarted = run(kSampledRun + mode + kSamples, {"ANE_MAX_COMPILES=7"}, divided.path());
  REQUIRE(restarted.code == 0);
  CHECK((count(restarted.out, "[exec() restart") > 0) == (std::ranges::count(mode, "dynamic") == 0));

  CHECK(weights(whole.path()) == weights(plain.path()));
  CHECK(weights(divided.path()) == weights(plain.path()));
  const auto samples = samples_in(whole / "t.jsonl");
  CHECK(updates_of(samples) == std::vector<std::int64_t>{2, 4, 5});
  CHECK(samples_in(divided / "t.jsonl") == samples);
  CHECK(samples_in(plain / "t.jsonl").empty());
  for (const nlohmann::json& sample : samples) {
    CHECK(sample.at("prompt") == kPrompt);
    CHECK(sample.at("tokens") == 12);
    CHECK(count(sampled.out, fmt::format("[sample update {}: 12 tokens in ", sample.at("update").get<int>())) == 1);
  }
  CHECK(count(sampled.out, "\n  | aab\n  | b") == 3);
  CHECK_THAT(sampled.out, ANE_CONTAINS("Samples:  "));
}

TEST_CASE("the sample at the end is what the command sample makes of the checkpoint", "[app][sample]") {
  const Folder folder;
  write_letters(folder);
  const Words fp32 = {"--precision", "fp32"};
  REQUIRE(run(kSampledRun + kSamples + fp32, {}, folder.path()).code == 0);
  const Result continued = run(Words{"sample", "--device", "host", "--model", folder / "c/step-00000010", "--prompt",
                                     kPrompt, "--max-tokens", "12", "--tokens", "--ignore-eos"} +
                               fp32);
  REQUIRE(continued.code == 0);
  std::string bytes;
  std::istringstream numbers(continued.out);
  for (int number = 0; numbers >> number;) bytes += static_cast<char>(number);
  CHECK(bytes.size() == 12);
  const std::string text = samples_in(folder / "t.jsonl").back().at("text");
  const bool is_ascii = std::ranges::all_of(bytes, [](char byte) { return static_cast<signed char>(byte) >= 0; });
  if (is_ascii) CHECK(text == bytes);
  CHECK(text.size() >= 12);
}

TEST_CASE("a resumed run samples at the same updates, with the settings of the checkpoint", "[app][sample][resume]") {
  const Folder whole;
  const Folder resumed;
  for (const Folder* folder : {&whole, &resumed}) write_letters(*folder);
  REQUIRE(run(kSampledRun + kSamples, {}, whole.path()).code == 0);
  REQUIRE(run(with(kSampledRun, "--steps", "6") + kSamples, {}, resumed.path()).code == 0);
  fs::remove(resumed / "t.jsonl");
  const Words words = {"--device",    "host",    "--threads", "1", "--checkpoint-dir", "c", "--resume",
                       "--telemetry", "t.jsonl", "--steps",   "10"};
  const Result result = run(words, {}, resumed.path());
  CAPTURE(result.err);
  REQUIRE(result.code == 0);
  const auto all = samples_in(whole / "t.jsonl");
  CHECK(samples_in(resumed / "t.jsonl") == std::vector<nlohmann::json>(all.begin() + 1, all.end()));
}

TEST_CASE("samples use the tokenizer of the model, which is not needed after the start", "[app][sample][companions]") {
  const Folder folder;
  const std::string model = folder / "model";
  write_model_with_tokenizer(model);
  const Words words = {"--device",      "host",      "--model",        model, "--seq",           "16",
                       "--accum-steps", "2",         "--steps",        "12",  "--threads",       "1",
                       "--val-samples", "2",         "--sample-every", "1",   "--sample-prompt", "The newest",
                       "--output",      "dashboard", "--log-every",    "1",   "--telemetry",     "t.jsonl"};
  Program program(words, {"ANE_MAX_COMPILES=20"}, folder.path());
  REQUIRE(program.wait_for("[sample update 1:"));
  fs::remove_all(model);
  const Result result = program.wait();
  CAPTURE(result.out, result.err);
  REQUIRE(result.code == 0);
  REQUIRE(count(result.out, "[exec() restart") > 0);
  const auto samples = samples_in(folder / "t.jsonl");
  CHECK(samples.size() == 6);
  for (const nlohmann::json& sample : samples) {
    CHECK(sample.at("prompt") == "The newest");
    CHECK(sample.at("tokens") == 17 - 6);  // six tokens, but ten bytes; the last token is not read
  }
}

TEST_CASE("checkpoints keep the tokenizer of a llama2.c model", "[app][sample][companions]") {
  const Folder folder;
  const Words small = with(with(kSmall, "--vocab", "259"), "--lr", "0.01") + Words{"--output", "quiet"};
  REQUIRE(run(small + Words{"--steps", "2", "--checkpoint-dir", "c"}, {}, folder.path()).code == 0);
  fs::create_directory(folder / "model");
  const Words to_llama2c = {"export", "--model", "c/step-00000002", "--format", "llama2c", "--out", "model/m.bin"};
  REQUIRE(run(to_llama2c, {}, folder.path()).code == 0);
  write_byte_tokenizer(folder / "model/tokenizer.bin");
  const Words training = {
      "--model", "model/m.bin", "--device",      "host", "--threads",        "1", "--accum-steps", "2",
      "--steps", "2",           "--val-samples", "2",    "--checkpoint-dir", "d"};
  REQUIRE(run(training, {}, folder.path()).code == 0);
  CHECK(read_file(folder / "d/step-00000002/tokenizer.bin") == read_file(folder / "model/tokenizer.bin"));
  fs::remove_all(folder / "model");
  const Result resumed = run({"--device", "host", "--checkpoint-dir", "d", "--resume", "--steps", "4", "--sample-every",
                              "1", "--sample-prompt", "ab", "--telemetry", "t.jsonl"},
                             {}, folder.path());
  CAPTURE(resumed.err);
  REQUIRE(resumed.code == 0);
  CHECK(samples_in(folder / "t.jsonl").back().at("tokens") ==
        33 - 4);  // <s>, a space, a and b; without the tokenizer, two bytes
}

TEST_CASE("what a sample needs is checked before a run begins", "[app][sample][errors]") {
  const Folder folder;
  write_letters(folder);
  write_small_model(folder / "hf");
  for (const char* name : {"tokenizer.json", "tokenizer.model"}) fs::remove(fs::path(folder / "hf") / name);
  struct Row {
    Words words;
    std::string message;
    int code = 2;
  };
  const std::string long_prompt(33, 'a');
  const std::vector<Row> rows = {
      {{"--sample-every", "1"}, "sample_every (--sample-every) needs --sample-prompt TEXT"},
      {{"--sample-prompt", "a"}, "sample_prompt (--sample-prompt) needs --sample-every N"},
      {{"--sample-every", "1", "--sample-prompt", ""}, "--sample-prompt: the value is empty; expected a text"},
      {{"--sample-every", "1", "--sample-prompt", long_prompt},
       "--sample-prompt: the prompt has 33 tokens, but the context has 32; a larger --seq extends it"},
      {{"--sample-every", "1", "--sample-prompt", "a", "--sample-tokens", "0"}, "--sample-tokens: '0' is not"},
  };
  const bool dry_run = GENERATE(false, true);
  const Words ending = dry_run ? Words{"--dry-run", "--no-time"} : Words{};
  const Words short_run = with(kSmall, "--vocab", "256") + Words{"--steps", "4"};
  for (const auto& [words, message, code] : rows) {
    const Result result = run(short_run + words + ending);
    CAPTURE(words, result.out);
    CHECK(result.code == code);
    CHECK_THAT(result.err, ANE_CONTAINS(message));
  }
  const Result unknown = run(kSmall + Words{"--steps", "4", "--sample-every", "1", "--sample-prompt", "ab"} + ending);
  CHECK(unknown.code == 2);
  CHECK_THAT(unknown.err,
             ANE_CONTAINS("--sample-prompt: the prompt contains token 97, but the vocabulary of the model has 64"));
  const Result mlp =
      run(Words{"--config", "tiny", "--steps", "4", "--sample-every", "1", "--sample-prompt", "a"} + ending);
  CHECK(mlp.code == 2);
  CHECK_THAT(mlp.err, ANE_CONTAINS("does not apply to an mlp"));
  const Result missing =
      run(Words{"--device", "host", "--model", folder / "hf", "--data", folder / "text.txt", "--data-format", "text",
                "--steps", "4", "--seq", "16", "--sample-every", "1", "--sample-prompt", "a"} +
          ending);
  CHECK(missing.code == 2);
  CHECK_THAT(missing.err, ANE_CONTAINS("has no tokenizer"));
}

TEST_CASE("a dry run says what samples cost", "[app][sample]") {
  const Words words = with(kSmall, "--vocab", "256") + Words{"--steps",         "10", "--dry-run",       "--no-time",
                                                             "--sample-every",  "3",  "--sample-prompt", "a",
                                                             "--sample-tokens", "9"};
  const Result result = run(words);
  CHECK(result.code == 0);
  CHECK_THAT(
      result.out,
      ANE_CONTAINS("5 for each further one in the same process, 2 for the validation and the sample at the end") &&
          ANE_CONTAINS("Samples: after every 3 updates, up to 9 forward passes with the training kernels"));
}

#ifdef ANE_TRAIN_STANDIN
TEST_CASE("samples make no compile on a device with a limit, but for one at the end", "[app][sample][standin]") {
  const Folder folder;
  write_letters(folder);
  const Words words = with(kSampledRun, "--device", "ane");
  const auto compiles = [&](const Words& more) {
    fs::remove_all(folder / "c");
    const Result result =
        Program(words + more, {"STANDIN_THREADS=1", "ANE_MAX_COMPILES=16"}, folder.path(), ANE_TRAIN_STANDIN).wait();
    CAPTURE(result.err);
    REQUIRE(result.code == 0);
    const std::size_t at = result.out.find("Compiles:");
    REQUIRE(at != std::string::npos);
    return result.out.substr(at, result.out.find('\n', at) - at);
  };
  CHECK(compiles(kSamples) == compiles({}));  // it has a validation at the end
}
#endif
