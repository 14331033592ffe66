#include <cmath>
#include <filesystem>
#include <numbers>
#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/program.h"
#include "app/small_model.h"
#include "app/small_run.h"
#include "data/small_tokenizer.h"
#include "support/catch.h"

using namespace cli_test;
using ane::test::kChatml;
using ane::test::small_tokenizer_json;
namespace fs = std::filesystem;

namespace {

/// A Hugging Face directory "model" with a vocabulary of 256 and this tokenizer.
void write_model(const Folder& folder, const std::string& tokenizer = small_tokenizer_json(kChatml)) {
  write_small_model(folder / "model");
  fs::remove(folder / "model/tokenizer.model");
  write_file(folder / "model/tokenizer.json", tokenizer);
  write_file(folder / "model/generation_config.json", R"({"eos_token_id": [129, 131]})");
}

std::string long_text() {
  std::string text;
  for (int i = 0; text.size() < 2000; ++i) text += fmt::format("line {} of abab and cabs\n", i * i);
  return text;
}

std::string records() {
  std::string lines;
  for (int i = 0; i < 60; ++i)
    lines += fmt::format(R"({{"prompt": "what is {}?", "completion": "it is ab {}"}})", i, i * i) + "\n";
  return lines;
}

Words train_on_text(const Words& more) {
  return Words{"--device", "host", "--threads", "1",  "--steps",       "12", "--accum-steps", "2",
               "--lr",     "0.01", "--seq",     "32", "--val-samples", "2"} +
         more;
}

const Words kOfModel = {"--model", "model"};
/// A new model with the vocabulary of its tokenizer.
const Words kNew = {"--dim", "32", "--hidden", "64", "--layers", "1", "--heads", "2", "--tokenizer", "t.json"};

std::string parameters_of(const Folder& folder, const std::string& checkpoint) {
  return read_file(folder / (checkpoint + "/step-00000012/model.safetensors"));
}

}  // namespace

TEST_CASE("text is turned into the tokens of the model once, also in a run of many processes", "[app][data]") {
  const Folder folder;
  write_model(folder);
  write_file(folder / "x.txt", long_text());
  const Words one =
      train_on_text(kOfModel + Words{"--data", "x.txt", "--output", "dashboard", "--checkpoint-dir", "one"});
  const Result first = run(one, {}, folder.path());
  INFO(first.err);
  REQUIRE(first.code == 0);
  CHECK_THAT(first.err, ANE_CONTAINS("x.txt: 1 file became ") && ANE_CONTAINS("cached in x.txt."));
  CHECK_THAT(first.out,
             ANE_CONTAINS("Data: x.txt: ") && ANE_CONTAINS(" tokens for training, ") && ANE_CONTAINS("held out in"));

  // The tokens are found again.
  const Result cut = run(with(one, "--checkpoint-dir", "cut") + Words{"--max-compiles", "11"}, {}, folder.path());
  REQUIRE(cut.code == 0);
  CHECK_THAT(cut.err, ANE_CONTAINS("x.txt: 1 file became ") && ANE_CONTAINS("; read from the cache x.txt."));
  CHECK(count(cut.err, "became") == 1);
  CHECK(count(cut.out, "exec() restart") >= 5);
  CHECK((parameters_of(folder, "one") == parameters_of(folder, "cut")));

  // And made again where they are missing, once.
  for (const auto& each : fs::directory_iterator(folder.path()))
    if (each.path().extension() == ".tokens") fs::remove(each.path());
  const Result made = run(with(one, "--checkpoint-dir", "made") + Words{"--max-compiles", "11"}, {}, folder.path());
  CHECK(count(made.err, "became") == 1);
  CHECK(count(made.err, "encoded in") == 1);
  CHECK((parameters_of(folder, "one") == parameters_of(folder, "made")));

  // The same tokens from a file that tokenize writes; only their split differs.
  REQUIRE(run({"tokenize", "x.txt", "--tokenizer", "model", "--out", "x.bin"}, {}, folder.path()).code == 0);
  const Result from_tokens = run(train_on_text(kOfModel + Words{"--data", "x.bin"}), {}, folder.path());
  CHECK(from_tokens.code == 0);
}

TEST_CASE("records with a mask are trained on, and give the same bits when cut and resumed", "[app][data]") {
  const Folder folder;
  write_model(folder);
  write_file(folder / "x.jsonl", records());
  const Words whole =
      train_on_text(kOfModel + Words{"--data", "x.jsonl", "--mask-prompt", "--checkpoint-dir", "whole"});
  const Result result = run(whole, {}, folder.path());
  INFO(result.err);
  REQUIRE(result.code == 0);
  CHECK_THAT(result.err, ANE_CONTAINS("60 records became ") && ANE_CONTAINS(" of them contribute to the loss"));
  const Words cut = with(whole, "--checkpoint-dir", "cut") + Words{"--max-compiles", "11"};
  REQUIRE(run(with(cut, "--steps", "6"), {}, folder.path()).code == 0);
  fs::remove_all(folder / "model");  // the checkpoint has the tokenizer and the end token
  const Result resumed = run({"--resume", "--checkpoint-dir", "cut", "--steps", "12", "--threads", "1", "--device",
                              "host", "--max-compiles", "11"},
                             {}, folder.path());
  INFO(resumed.err);
  REQUIRE(resumed.code == 0);
  CHECK((parameters_of(folder, "whole") == parameters_of(folder, "cut")));
  // Without the mask, training differs, and so do the data.
  write_model(folder);
  const Result other = run({"--resume", "--checkpoint-dir", "cut", "--steps", "14", "--data", "x.jsonl",
                            "--skip-bad-records", "--end-token", "131", "--threads", "1"},
                           {}, folder.path());
  CHECK(other.code == 2);
  CHECK_THAT(other.err, ANE_CONTAINS("another data set or order"));
}

TEST_CASE("a new model gets the vocabulary of its tokenizer, which its checkpoints contain", "[app][data]") {
  const Folder folder;
  write_file(folder / "t.json", small_tokenizer_json());
  write_file(folder / "x.txt", long_text());
  const Words words = train_on_text(kNew + Words{"--data", "x.txt", "--checkpoint-dir", "c"});
  const Result result = run(words, {}, folder.path());
  INFO(result.err);
  REQUIRE(result.code == 0);
  CHECK_THAT(result.out, ANE_CONTAINS("vocab=130"));
  CHECK(read_file(folder / "c/step-00000012/tokenizer.json") == small_tokenizer_json());
  CHECK(run({"sample", "--model", "c/step-00000012", "--prompt", "abab", "--max-tokens", "3", "--threads", "1"}, {},
            folder.path())
            .code == 0);
  CHECK(run({"--resume", "--checkpoint-dir", "c", "--steps", "14", "--threads", "1"}, {}, folder.path()).code == 0);

  const Result larger = run(with(words, "--checkpoint-dir", "d") + Words{"--vocab", "200"}, {}, folder.path());
  CHECK(larger.code == 0);
  CHECK_THAT(larger.out, ANE_CONTAINS("vocab=200"));
  const Result smaller = run(with(words, "--checkpoint-dir", "e") + Words{"--vocab", "129"}, {}, folder.path());
  CHECK(smaller.code == 2);
  CHECK_THAT(smaller.err, ANE_CONTAINS("the tokenizer has 130 tokens, but the vocabulary of the model has 129"));
  // A named config suggests a vocabulary, a file decides.
  CHECK_THAT(run({"--config", "shakespeare", "--tokenizer", "t.json", "--print-config"}, {}, folder.path()).out,
             ANE_CONTAINS("tokenizer t.json"));
  write_file(folder / "c.json", R"({"vocab": 140, "tokenizer": "t.json"})");
  CHECK_THAT(run({"--config", "./c.json", "--print-config"}, {}, folder.path()).out, ANE_CONTAINS("140"));
}

TEST_CASE("text is bytes only for a model without tokenizer that is not from Hugging Face", "[app][data]") {
  const Folder folder;
  write_file(folder / "x.txt", long_text());
  write_file(folder / "x.jsonl", records());
  fs::create_directory(folder / "texts");
  write_file(folder / "texts/a.txt", long_text());
  write_file(folder / "texts/b.txt", long_text());
  const Words plain = train_on_text({"--dim", "32", "--hidden", "64", "--layers", "1", "--heads", "2", "--data"});
  CHECK_THAT(run(plain + Words{"x.txt"}, {}, folder.path()).out, ANE_CONTAINS("bytes for training"));
  const Result directory = run(plain + Words{"texts"}, {}, folder.path());
  CHECK(directory.code == 0);
  CHECK_THAT(directory.out, ANE_CONTAINS("a.txt and 1 more file: ") && ANE_CONTAINS("bytes for training"));
  CHECK(std::distance(fs::directory_iterator(folder / "texts"), fs::directory_iterator()) == 2);
  for (const auto& [more, expected] : {std::pair(Words{"x.jsonl"}, "contains records, which need a tokenizer"),
                                       std::pair(Words{"x.txt", "--mask-prompt"}, "--mask-prompt: x.txt is a text"),
                                       std::pair(Words{"x.txt,x.jsonl"}, "train on one kind of data")}) {
    const Result result = run(plain + more, {}, folder.path());
    CHECK(result.code == 2);
    CHECK_THAT(result.err, ANE_CONTAINS(expected));
  }

  write_model(folder);
  fs::remove(folder / "model/tokenizer.json");
  const Result missing = run(train_on_text(kOfModel + Words{"--data", "x.txt"}), {}, folder.path());
  CHECK(missing.code == 2);
  CHECK_THAT(missing.err, ANE_CONTAINS("model has no tokenizer") && ANE_CONTAINS("--tokenizer"));
  CHECK(run(train_on_text(kOfModel + Words{"--data", "synthetic"}), {}, folder.path()).code == 0);
}

TEST_CASE("data that do not fit are refused with what to do", "[app][data]") {
  const Folder folder;
  write_model(folder);
  write_file(folder / "x.txt", long_text());
  write_file(folder / "bad.jsonl", records() + "{\"text\": 5}\n");
  write_file(folder / "text.jsonl", "{\"text\": \"a\"}\n");
  write_file(folder / "t.json", small_tokenizer_json());
  write_file(folder / "x.bin", std::string(400, '\1'));
  fs::create_directory(folder / "empty");
  const auto check = [&](const Words& more, int code, const std::string& expected) {
    const Result result = run(train_on_text(kOfModel + more), {}, folder.path());
    CAPTURE(expected, result.err);
    CHECK(result.code == code);
    CHECK_THAT(result.err, ANE_CONTAINS(expected));
  };
  check({"--data", "bad.jsonl"}, 3, "bad.jsonl: line 61: 'text' is a number, but a string is needed; --skip-bad");
  check({"--data", "text.jsonl", "--mask-prompt"}, 2, "text.jsonl: line 1: it is a text");
  check({"--data", "x.txt", "--mask-prompt"}, 2, "it is a text, which has no prompt");
  check({"--data", "x.bin", "--mask-prompt"}, 2, "--mask-prompt: x.bin contains tokens");
  check({"--data", "empty"}, 3, "empty: the directory has neither train.jsonl nor a .txt file");
  check({"--data", "x.txt", "--end-token", "<nothing>"}, 2, "--end-token: '<nothing>' is neither the name of a token");
  check({"--data", "x.txt", "--end-token", "132"}, 2, "nor a number below 132");
  check({"--data", "missing.jsonl"}, 3, "missing.jsonl");
  for (const char* made : {"encoded in", "read from the cache"}) {
    const Result skipped =
        run(train_on_text(kOfModel + Words{"--data", "bad.jsonl", "--skip-bad-records"}), {}, folder.path());
    CHECK(skipped.code == 0);
    CHECK_THAT(skipped.err, ANE_CONTAINS(made) &&
                                ANE_CONTAINS("1 bad record was skipped; the first one: bad.jsonl: line 61: 'text' is"));
    CHECK(count(skipped.err, "held out") == 0);
  }
  write_file(folder / "long.jsonl", fmt::format(R"({{"text": "{}"}})", std::string(200, 'x')) + "\n");
  for (const char* made : {"encoded in", "read from the cache"}) {
    const Result whole = run(train_on_text(kOfModel + Words{"--data", "long.jsonl"}), {}, folder.path());
    CHECK(whole.code == 0);
    CHECK_THAT(whole.err, ANE_CONTAINS(made) && ANE_CONTAINS("long.jsonl: no record begins in the last tenth"));
    CHECK(count(whole.err, "nothing is held out") == 1);
  }
  fs::create_directory(folder / "mlx");
  write_file(folder / "mlx/train.jsonl", records());
  write_file(folder / "mlx/valid.jsonl", "{\"text\": \"\"}\n");
  const Result empty = run(train_on_text(kOfModel + Words{"--data", "mlx"}), {}, folder.path());
  CHECK(empty.code == 0);
  CHECK_THAT(empty.err, ANE_CONTAINS("mlx: valid.jsonl has no tokens, so there is no validation loss"));
  fs::remove(folder / "model/generation_config.json");
  check({"--data", "text.jsonl"}, 2, "text.jsonl: line 1: a record ends with an end-of-text token, but");
  check({"--data", "text.jsonl", "--end-token", "<end>"}, 3, "tokens for training, but one sequence needs 33");
}

TEST_CASE("standard input can be text or records", "[app][data]") {
  const Folder folder;
  write_model(folder);
  write_file(folder / "x.jsonl", records());
  const auto piped = [&](const std::string& more) {
    const std::string words = "--model model --device host --threads 1 --steps 4 --accum-steps 2 --seq 32 --data - ";
    return run({"-c", fmt::format("{} {} {} <x.jsonl", ANE_TRAIN_PROGRAM, words, more)}, {}, folder.path(), "/bin/sh");
  };
  const Result text = piped("--max-compiles 11");
  INFO(text.err);
  CHECK(text.code == 0);
  CHECK_THAT(text.err, ANE_CONTAINS("standard input: 1 file became"));
  CHECK(count(text.err, "became") == 1);
  CHECK_THAT(piped("--data-format jsonl --mask-prompt").err, ANE_CONTAINS("standard input: 60 records became"));
  CHECK(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()) == 2);
}

TEST_CASE("eval reads the same data, and knows how many bytes a token stands for", "[app][data]") {
  const Folder folder;
  write_model(folder);
  fs::create_directory(folder / "mlx");
  write_file(folder / "mlx/train.jsonl", records());
  write_file(folder / "mlx/valid.jsonl", records());
  write_file(folder / "x.txt", long_text());
  const auto eval = [&](const Words& more) {
    const Result result =
        run(Words{"eval", "--model", "model", "--json", "--seq", "32", "--threads", "1", "--data"} + more, {},
            folder.path());
    INFO(result.err);
    REQUIRE(result.code == 0);
    return nlohmann::json::parse(result.out);
  };
  const auto text = eval({"x.txt"});
  CHECK(text["tokens"] == text["counted_tokens"]);
  // "ab" is one token: three of them in each line.
  const std::string bytes = long_text();
  const auto tokens = static_cast<double>(bytes.size() - count(bytes, "ab"));
  const double bytes_per_token = static_cast<double>(bytes.size()) / tokens;
  CHECK(std::abs(text["bits_per_byte"].get<double>() -
                 text["loss"].get<double>() / std::numbers::ln2 / bytes_per_token) <= 1e-9);

  const auto all = eval({"mlx"});
  const auto held_out = eval({"mlx", "--split", "heldout"});
  CHECK(held_out["sequences"].get<int>() > 1);
  CHECK(all["sequences"].get<int>() >= 2 * held_out["sequences"].get<int>());
  CHECK(held_out["bits_per_byte"].is_number());
  const auto masked = eval({"mlx", "--split", "heldout", "--mask-prompt"});
  CHECK(masked["bits_per_byte"].is_null());
  CHECK(masked["tokens"] == held_out["tokens"]);
  CHECK(masked["counted_tokens"].get<int>() < held_out["counted_tokens"].get<int>() / 2);
  CHECK(masked["counted_tokens"].get<int>() > 0);
}

TEST_CASE("checkpoints and exports name the end token that the data were made with", "[app][data]") {
  const Folder folder;
  write_model(folder);
  fs::remove(folder / "model/generation_config.json");
  write_file(folder / "x.jsonl", records());
  write_file(folder / "t.json", small_tokenizer_json());
  REQUIRE(run({"tokenize", "x.jsonl", "--tokenizer", "model", "--out", "x.bin"}, {}, folder.path()).code == 0);
  const auto end_token = [&](const std::string& directory) {
    const auto config = nlohmann::json::parse(read_file(folder / (directory + "/config.json")));
    return config.value("eos_token_id", -1);
  };
  const auto check = [&](const Words& more, int expected) {
    fs::remove_all(folder / "c");
    fs::remove_all(folder / "out");
    const Result trained =
        run(train_on_text(more) + Words{"--checkpoint-dir", "c", "--max-compiles", "11"}, {}, folder.path());
    CAPTURE(trained.err);
    REQUIRE(trained.code == 0);
    CHECK(end_token("c/step-00000012") == expected);
    REQUIRE(run({"--resume", "--checkpoint-dir", "c", "--steps", "14", "--threads", "1"}, {}, folder.path()).code == 0);
    CHECK(end_token("c/step-00000014") == expected);
    REQUIRE(run({"export", "--model", "c/step-00000014", "--format", "hf", "--out", "out"}, {}, folder.path()).code ==
            0);
    CHECK(end_token("out") == expected);
  };
  check(kOfModel + Words{"--data", "x.jsonl", "--end-token", "<|im_end|>"}, 131);
  check(kOfModel + Words{"--data", "x.bin", "--end-token", "129"}, 129);
  check(kOfModel + Words{"--data", "x.bin"}, -1);
  check(kNew + Words{"--data", "x.jsonl", "--end-token", "<end>"}, 129);
  // A model's own stays.
  write_file(folder / "model/generation_config.json", R"({"eos_token_id": [129, 131]})");
  check(kOfModel + Words{"--data", "x.jsonl", "--end-token", "130"}, -1);

  const Result unknown =
      run(train_on_text(kOfModel + Words{"--data", "x.bin", "--end-token", "<nothing>"}), {}, folder.path());
  CHECK(unknown.code == 2);
  CHECK_THAT(unknown.err, ANE_CONTAINS("--end-token: '<nothing>' is neither the name"));
  const Result nameless = run({"--dim", "32", "--hidden", "64", "--layers", "1", "--heads", "2", "--vocab", "256",
                               "--steps", "2", "--data", "x.bin", "--end-token", "<end>"},
                              {}, folder.path());
  CHECK(nameless.code == 2);
  CHECK_THAT(nameless.err, ANE_CONTAINS("a name needs a tokenizer (--tokenizer)"));
}
