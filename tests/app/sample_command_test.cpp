#include <algorithm>
#include <csignal>
#include <filesystem>
#include <sstream>
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

namespace {

using namespace cli_test;
namespace fs = std::filesystem;

/// A checkpoint of a model that was trained on bytes for a moment.
std::string byte_model(const Folder& folder, const Words& more = {}) {
  write_file(folder / "text.txt", std::string(500, 'a') + std::string(500, 'b') + std::string(2000, 'c'));
  const Words settings = with(with(kSmall, "--vocab", "256"), "--lr", "0.01") + more +
                         Words{"--data", "text.txt", "--steps", "20", "--checkpoint-dir", "c"};
  const Result trained = run(settings, {}, folder.path());
  CAPTURE(trained.err);
  REQUIRE(trained.code == 0);
  return folder / "c/step-00000020";
}

Words sample(const std::string& model, const Words& more) {
  return Words{"sample", "--model", model, "--device", "host"} + more;
}

}  // namespace

TEST_CASE("the greedy continuation equals that of float64 PyTorch", "[app][sample][oracle]") {
  const std::string name = GENERATE(as<std::string>(), "llama", "qwen2", "qwen3");
  const fs::path folder = ane::test::shared_dir() / "oracle/hf" / name;
  if (!fs::exists(folder)) {
    WARN("skipped: there are no reference values in " << folder.string());
    return;
  }
  const auto reference = nlohmann::json::parse(read_file(folder / "case.json"));
  const auto prompt = reference.at("prompt").get<std::vector<int>>();
  const auto greedy = reference.at("greedy").get<std::vector<int>>();
  Words settings = {
      "--prompt-tokens", fmt::format("{}", fmt::join(prompt, ",")), "--max-tokens", "24", "--temperature", "0",
      "--tokens"};
  const Words modes = GENERATE(Words{"--precision", "fp32"}, Words{"--precision", "fp32", "--no-kv-cache"}, Words{});
  CAPTURE(name, modes);
  const Result result = run(sample((folder / "model").string(), settings + modes));
  CAPTURE(result.err);
  REQUIRE(result.code == 0);
  CHECK(result.out == fmt::format("{}\n", fmt::join(greedy, " ")));
  CHECK_THAT(result.err, ANE_CONTAINS("Prompt: 8 tokens, ") && ANE_CONTAINS("Generation: 23 tokens, "));
}

TEST_CASE("a model of bytes continues a text, and the same seed gives the same text", "[app][sample]") {
  const Folder folder;
  const std::string model = byte_model(folder);
  const Words settings = {"--prompt", "aaab", "--max-tokens", "20", "--temperature", "1"};
  const Result first = run(sample(model, settings));
  CAPTURE(first.err);
  REQUIRE(first.code == 0);
  CHECK(first.out.size() == 21);
  CHECK(first.out.back() == '\n');
  CHECK(run(sample(model, settings)).out == first.out);
  CHECK(run(sample(model, settings + Words{"--seed", "7"})).out != first.out);

  write_file(folder / "prompt.txt", "aaab");
  const Words from_file = {"--prompt-file", folder / "prompt.txt", "--max-tokens", "20", "--temperature", "1"};
  CHECK(run(sample(model, from_file)).out == first.out);
  const Words as_tokens = {"--prompt-tokens", "97,97,97,98", "--max-tokens", "20", "--temperature", "1"};
  CHECK(run(sample(model, as_tokens)).out == first.out);
}

TEST_CASE("a continuation ends at the stop text and at the end of the context", "[app][sample]") {
  const Folder folder;
  const std::string model = byte_model(folder);
  const Words greedy = {"--prompt", "aaaa", "--temperature", "0", "--ignore-eos"};
  const Result full = run(sample(model, greedy + Words{"--max-tokens", "100"}));
  REQUIRE(full.code == 0);
  CHECK(full.out.size() == 32 - 4 + 1 + 1);  // the last token is not read by the model
  CHECK_THAT(full.err, ANE_CONTAINS("the context of 32 tokens is full; a larger --seq extends it"));

  const std::string stop = full.out.substr(5, 3);
  const Result stopped = run(sample(model, greedy + Words{"--max-tokens", "100", "--stop", stop}));
  REQUIRE(stopped.code == 0);
  CHECK(stopped.out == full.out.substr(0, full.out.find(stop)) + "\n");
  const Result longer = run(sample(model, greedy + Words{"--max-tokens", "100", "--seq", "64"}));
  CHECK(longer.code == 2);
}

#ifdef ANE_TRAIN_STANDIN
TEST_CASE("the stand-in framework continues a text like the host", "[app][sample][standin]") {
  const std::string family = GENERATE("llama", "qwen2", "qwen3");
  const Folder folder;
  const std::string model = byte_model(folder, {"--family", family});
  const Words settings = {"sample",       "--model", model,           "--prompt", "aabb",
                          "--max-tokens", "12",      "--temperature", "0",        "--tokens"};
  const Result host = run(settings + Words{"--device", "host"});
  const Result ane =
      Program(settings + Words{"--device", "ane"}, {"STANDIN_THREADS=1"}, folder.path(), ANE_TRAIN_STANDIN).wait();
  CAPTURE(family, ane.err);
  REQUIRE(ane.code == 0);
  CHECK(ane.out == host.out);
}
#endif

TEST_CASE("unusable prompts and settings of sample have one message each", "[app][sample][errors]") {
  const Folder folder;
  const std::string model = byte_model(folder);
  struct Row {
    Words words;
    std::string message;
  };
  const std::vector<Row> rows = {
      {{}, "sample needs one of --prompt, --prompt-file and --prompt-tokens"},
      {{"--prompt", "a", "--prompt-tokens", "1"}, "sample needs one of --prompt, --prompt-file and --prompt-tokens"},
      {{"--prompt", ""}, "the prompt is empty"},
      {{"--prompt", std::string(33, 'a')}, "the prompt has 33 tokens, but the context has 32"},
      {{"--prompt-tokens", "1,256"}, "token 256, but the vocabulary of the model has 256"},
      {{"--prompt-tokens", "1,,2"}, "'' is not the number of a token"},
      {{"--prompt-tokens", "1,x"}, "'x' is not the number of a token"},
      {{"--prompt", "a", "--temperature", "-1"}, "--temperature: '-1' is not a number from 0 to 100"},
      {{"--prompt", "a", "--top-p", "nan"}, "--top-p: 'nan' is not a number from 0 to 1"},
      {{"--prompt", "a", "--max-tokens", "0"}, "--max-tokens: '0' is not a whole number from 1"},
      {{"--prompt", "a", "--tokens", "--stop", "b"}, "--stop is compared with text"},
      {{"--prompt", "a", "--chat"}, "special tokens of neither ChatML nor Llama 3"},
  };
  for (const auto& [words, message] : rows) {
    CAPTURE(words);
    const Result result = run(sample(model, words));
    CHECK(result.code == 2);
    CHECK(result.out.empty());
    CHECK_THAT(result.err, ANE_CONTAINS(message));
  }
  CHECK(run(sample(folder / "none.safetensors", {"--prompt", "a"})).code == 3);
  CHECK(run(sample(model, {"--prompt-file", folder / "none"})).code == 3);
}

TEST_CASE("a Hugging Face model without a tokenizer works with tokens only", "[app][sample][errors]") {
  const Folder folder;
  const std::string model = byte_model(folder);
  fs::create_directory(folder / "hf");
  for (const char* name : {"config.json", "model.safetensors"}) fs::copy(fs::path(model) / name, folder / "hf");
  const Result tokens = run(sample(folder / "hf", {"--prompt-tokens", "97", "--tokens", "--max-tokens", "3"}));
  CAPTURE(tokens.err);
  CHECK(tokens.code == 0);
}

namespace {

std::vector<int> numbers_in(const std::string& text) {
  std::vector<int> numbers;
  std::istringstream words(text);
  for (int number = 0; words >> number;) numbers.push_back(number);
  return numbers;
}

/// The tokens of a text, as --prompt-tokens takes them.
std::string tokens_of(const std::string& text, const Folder& folder, const std::string& model) {
  write_file(folder / "prompt.txt", text);
  const Words shell = {"-c", "exec \"$0\" \"$@\" <prompt.txt", ANE_TRAIN_PROGRAM};
  const Result ids =
      run(shell + Words{"tokenize", "--tokenizer", model, "--ids", "--no-special"}, {}, folder.path(), "/bin/sh");
  CAPTURE(ids.err);
  REQUIRE(ids.code == 0);
  return fmt::format("{}", fmt::join(numbers_in(ids.out), ","));
}

/// 4000 tokens, which take a while.
Words long_sample(const std::string& model) {
  return sample(model, {"--prompt-tokens", "1", "--tokens", "--seq", "4096", "--max-tokens", "4000", "--ignore-eos"});
}

}  // namespace

TEST_CASE("a chat is the user's message in the form of the tokenizer, answered until its end", "[app][sample][chat]") {
  const Folder folder;
  const std::string model = folder / "model";
  write_model_with_tokenizer(model, "byte-level", true);
  const Words draws = {"--tokens", "--seq", "2048", "--max-tokens", "2000", "--temperature", "100", "--seed", "3"};
  const Result chat = run(sample(model, Words{"--chat", "--prompt", "Hello the newest"} + draws));
  CAPTURE(chat.err);
  REQUIRE(chat.code == 0);
  const std::string prompt =
      tokens_of("<|im_start|>user\nHello the newest<|im_end|>\n<|im_start|>assistant\n", folder, model);
  const Result same = run(sample(model, Words{"--prompt-tokens", prompt} + draws));
  REQUIRE(same.code == 0);
  const std::vector<int> answer = numbers_in(chat.out);
  const std::vector<int> continuation = numbers_in(same.out);
  // A uniform draw of 400 tokens is the end token once in 400 times.
  REQUIRE(answer.size() < continuation.size());
  CHECK(std::equal(answer.begin(), answer.end(), continuation.begin()));
  const int end = continuation.at(answer.size());
  CHECK(std::to_string(end) == tokens_of("<|im_end|>", folder, model));
  CHECK(std::ranges::count(answer, end) == 0);
}

TEST_CASE("an empty prompt is continued if the tokenizer begins texts with a token", "[app][sample]") {
  const Folder folder;
  const std::string model = folder / "model";
  const Words words = {"--prompt", "", "--max-tokens", "3", "--tokens", "--ignore-eos"};
  SECTION("with a token") {
    write_model_with_tokenizer(model, "fallback of Llama 2");
    const Result result = run(sample(model, words));
    CAPTURE(result.err);
    CHECK(result.code == 0);
    CHECK(numbers_in(result.out).size() == 3);
  }
  SECTION("without") {
    write_model_with_tokenizer(model);
    const Result result = run(sample(model, words));
    CHECK(result.code == 2);
    CHECK_THAT(result.err, ANE_CONTAINS("the prompt is empty"));
  }
}

TEST_CASE("a tokenizer with more tokens than the model and a prompt beyond the context are errors",
          "[app][sample][errors]") {
  const Folder folder;
  const std::string model = folder / "model";
  write_model_with_tokenizer(model);
  const std::string tokenizer = folder / "tokenizer.json";
  fs::copy(fs::path(model) / "tokenizer.json", tokenizer);
  write_small_model(folder / "smaller");  // 256 tokens
  const Words hello = {"--prompt", "Hello", "--tokenizer", tokenizer, "--max-tokens", "2", "--tokens"};
  CHECK(run(sample(model, hello)).code == 0);
  const Result unknown = run(sample(folder / "smaller", hello));
  CHECK(unknown.code == 2);
  CHECK_THAT(unknown.err, ANE_CONTAINS("but the vocabulary of the model has 256"));
  std::string words;
  for (int i = 0; i < 20; ++i) words += " the";
  const Result beyond = run(sample(model, {"--prompt", words, "--seq", "19"}));
  CHECK(beyond.code == 2);
  CHECK_THAT(beyond.err, ANE_CONTAINS("the prompt has 20 tokens, but the context has 19; a larger --seq extends it"));
  CHECK(run(sample(model, {"--prompt", words, "--seq", "20", "--tokens"})).code == 0);
}

TEST_CASE("an interrupt ends sample at once", "[app][sample][signal]") {
  const Folder folder;
  write_model_with_tokenizer(folder / "model");
  Program program(long_sample(folder / "model"), {}, folder.path());
  REQUIRE(program.wait_for(" "));
  program.send(SIGINT);
  const Result result = program.wait();
  CHECK(result.code == 128 + SIGINT);
  CHECK(numbers_in(result.out).size() < 4000);
}

TEST_CASE("sample ends when the reader of its output does", "[app][sample][signal]") {
  const Folder folder;
  write_model_with_tokenizer(folder / "model");
  const Words shell = {"-c", "(\"$0\" \"$@\"; echo $? >code) | head -c 1", ANE_TRAIN_PROGRAM};
  const Result result = run(shell + long_sample(folder / "model"), {}, folder.path(), "/bin/sh");
  CHECK(result.out.size() == 1);
  CHECK(std::stoi(read_file(folder / "code")) == 128 + SIGPIPE);
  CHECK(result.err.find("terminate") == std::string::npos);
}

TEST_CASE("the width of the terminal does not change the text", "[app][sample]") {
  const Folder folder;
  write_model_with_tokenizer(folder / "model");
  const Words words = sample(folder / "model", {"--prompt", "Hello the newest", "--max-tokens", "20"});
  const Result usual = run(words);
  const Result tiny = run(words, {"COLUMNS=1", "LINES=1", "TERM=dumb"});
  CHECK(tiny.code == 0);
  CHECK(tiny.out == usual.out);
}
