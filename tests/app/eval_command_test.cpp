#include "ane/app/eval_command.h"

#include <cmath>
#include <filesystem>
#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/program.h"
#include "app/small_model.h"
#include "app/small_run.h"
#include "support/catch.h"
#include "support/paths.h"

using namespace cli_test;
namespace fs = std::filesystem;

namespace {

constexpr std::size_t kTextBytes = 2000;  // of which 200 are held out

std::string text() {
  std::string text;
  for (int i = 0; text.size() < kTextBytes; ++i) text += fmt::format("{} is not {}. ", i, i * i);
  text.resize(kTextBytes);
  return text;
}

nlohmann::json evaluate(const Folder& folder, const Words& arguments) {
  const Result result = run(Words{"eval", "--device", "host", "--json"} + arguments, {}, folder.path());
  CAPTURE(result.out, result.err);
  REQUIRE(result.code == 0);
  CHECK(count(result.out, "\n") == 1);
  return nlohmann::json::parse(result.out);
}

}  // namespace

TEST_CASE("the loss of eval is the validation loss that training prints", "[app][eval]") {
  const std::string precision = GENERATE(as<std::string>(), "fp16", "fp32");
  const std::string weights = GENERATE(as<std::string>(), "baked", "dynamic");
  CAPTURE(precision, weights);
  const Folder folder;
  write_file(folder / "text.txt", text());
  write_small_model(folder / "model");
  const Words settings = {"--data", "text.txt", "--precision", precision, "--weights", weights, "--seq", "32"};
  const Result trained = run(settings + Words{"--device", "host", "--model", "model", "--steps", "4", "--accum-steps",
                                              "2", "--checkpoint-dir", "c", "--output", "dashboard"},
                             {}, folder.path());
  CAPTURE(trained.out, trained.err);
  REQUIRE(trained.code == 0);
  const nlohmann::json found = evaluate(folder, settings + Words{"--model", "c/step-00000004", "--split", "heldout"});
  CHECK(found.at("sequences") == 6);  // (200 - 1) / 32
  CHECK(found.at("tokens") == 6 * 32);
  CHECK_THAT(trained.out,
             ANE_CONTAINS(fmt::format("[val update 2: loss={:.4f} over 6 ", found.at("loss").get<double>())));
}

TEST_CASE("eval reports loss, perplexity, bits per byte and speed", "[app][eval]") {
  const Folder folder;
  write_file(folder / "text.txt", text());
  write_small_model(folder / "model");
  const Words settings = {"--model", "model", "--data", "text.txt", "--seq", "64"};
  const nlohmann::json found = evaluate(folder, settings);
  CHECK(found.size() == 7);
  CHECK(found.at("sequences") == (kTextBytes - 1) / 64);
  CHECK(found.at("tokens") == (kTextBytes - 1) / 64 * 64);
  const double loss = found.at("loss").get<double>();
  CHECK(loss > 1);
  CHECK(std::abs(found.at("perplexity").get<double>() - std::exp(loss)) <= 1e-12 * std::exp(loss));
  CHECK(std::abs(found.at("bits_per_byte").get<double>() - loss / std::log(2.0)) <= 1e-12 * loss);
  CHECK(found.at("tokens_per_second").get<double>() > 0);

  // As tokens, the same bytes have the same loss, but it is not known how many bytes of text they stand for.
  std::string tokens;
  for (const char byte : text()) tokens += std::string{byte, '\0'};
  write_file(folder / "tokens.bin", tokens);
  const nlohmann::json as_tokens = evaluate(folder, {"--model", "model", "--data", "tokens.bin", "--seq", "64"});
  CHECK(as_tokens.at("loss") == found.at("loss"));
  CHECK(as_tokens.at("bits_per_byte").is_null());

  // The first sequences alone.
  const nlohmann::json one = evaluate(folder, settings + Words{"--sequences", "1"});
  CHECK(one.at("sequences") == 1);
  write_file(folder / "first.txt", text().substr(0, 65));
  CHECK(evaluate(folder, {"--model", "model", "--data", "first.txt", "--seq", "64"}).at("loss") == one.at("loss"));
  CHECK(evaluate(folder, settings + Words{"--sequences", "1000"}).at("sequences") == found.at("sequences"));

  const Result plain = run(Words{"eval", "--device", "host"} + settings, {}, folder.path());
  CHECK(plain.code == 0);
  CHECK_THAT(plain.out, ANE_CONTAINS(fmt::format("Loss: {:.4f} nats per token", loss)));
  CHECK_THAT(plain.out, ANE_CONTAINS(fmt::format("Bits per byte: {:.4f}", loss / std::log(2.0))));
  CHECK_THAT(plain.out, ANE_CONTAINS("Tokens: 1984 in 31 sequences"));
}

TEST_CASE("an export in any format has the loss of its model", "[app][eval]") {
  const Folder folder;
  write_file(folder / "text.txt", text());
  write_small_model(folder / "model");
  const auto loss = [&](const std::string& model) {
    return evaluate(folder, {"--model", model, "--data", "text.txt", "--seq", "64", "--precision", "fp32"})
        .at("loss")
        .get<double>();
  };
  for (const std::string format : {"hf", "llama2c"})
    REQUIRE(run({"export", "--model", "model", "--format", format, "--out", format == "hf" ? "out" : "out.bin"}, {},
                folder.path())
                .code == 0);
  CHECK(loss("out") == loss("model"));
  CHECK(loss("out.bin") == loss("model"));
  REQUIRE(run({"export", "--model", "model", "--format", "hf", "--out", "half", "--dtype", "bf16"}, {}, folder.path())
              .code == 0);
  CHECK(loss("half") != loss("model"));
  CHECK(std::abs(loss("half") - loss("model")) < 0.02 * loss("model"));
}

TEST_CASE("a model is evaluated on its whole sequence by default, but not on more than 1024 tokens", "[app][eval]") {
  const Folder folder;
  std::string tokens;
  for (int i = 0; i < 1025; ++i) tokens += std::string{static_cast<char>(i % 251), '\0'};
  write_file(folder / "tokens.bin", tokens);
  write_small_model(folder / "model");
  CHECK(evaluate(folder, {"--model", "model", "--data", "tokens.bin"}).at("tokens") == 1024);
}

TEST_CASE("synthetic data are evaluated on their held-out sequences", "[app][eval]") {
  const Folder folder;
  REQUIRE(run(kSmall + Words{"--steps", "2", "--checkpoint-dir", "c"}, {}, folder.path()).code == 0);
  const nlohmann::json found = evaluate(folder, {"--model", "c/step-00000002", "--data", "synthetic"});
  CHECK(found.at("tokens") == 4096);
  CHECK(found.at("sequences") == 4096 / 32);
  const Result refused =
      run({"eval", "--model", "c/step-00000002", "--data", "synthetic", "--split", "all"}, {}, folder.path());
  CHECK(refused.code == 2);
  CHECK_THAT(refused.err, ANE_CONTAINS("synthetic data have no end"));
}

TEST_CASE("wrong options and data of an evaluation give one message and their exit code", "[app][eval]") {
  const Folder folder;
  write_small_model(folder / "model");
  write_file(folder / "tokens.bin", std::string(200, '\0'));
  write_file(folder / "short.txt", "short");
  write_file(folder / "none.txt", "");
  struct Case {
    Words arguments;
    int code;
    const char* fault;
  };
  const std::vector<Case> cases = {
      {{}, 2, "missing --model"},
      {{"--model", "model"}, 2, "missing --data"},
      {{"--model", "model", "--data", "tokens.bin", "--split", "half"},
       2,
       "--split: 'half' is not one of all, heldout"},
      {{"--model", "model", "--data", "tokens.bin", "--sequences", "0"}, 2, "--sequences: '0' is not a whole number"},
      {{"--model", "model", "--data", "tokens.bin", "--seq", "8192"}, 2, "seq is 8192"},
      {{"--model", "model", "--data", "tokens.bin", "--seq", "16", "--split", "heldout"},
       2,
       "no part of these data is held out"},
      {{"--model", "model", "--data", "short.txt", "--seq", "16"}, 3, "one sequence needs 17"},
      {{"--model", "model", "--data", "none.txt", "--seq", "16"}, 3, "none.txt"},
      {{"--model", "model", "--data", "absent.txt", "--seq", "16"}, 3, "does not exist"},
      {{"--model", "absent", "--data", "tokens.bin"}, 2, "model 'absent' does not exist: expected llama2.c's .bin"},
      {{"--model", "model", "--data", "tokens.bin", "--steps", "2"}, 2, "unknown option --steps"}};
  for (const Case& each : cases) {
    const Result refused = run(Words{"eval", "--device", "host"} + each.arguments, {}, folder.path());
    CAPTURE(each.fault, refused.err);
    CHECK(refused.code == each.code);
    CHECK_THAT(refused.err, ANE_CONTAINS(each.fault));
    CHECK(refused.out.empty());
  }
}

TEST_CASE("an evaluation that one process cannot compile is refused", "[app][eval]") {
  const Folder folder;
  write_small_model(folder / "model");
  write_file(folder / "text.txt", text());
  const Words arguments = {"eval", "--model", "model", "--data", "text.txt", "--seq", "32", "--device", "host"};
  // Two kernels for each of the two layers; with dynamic weights, all layers share them.
  const Result refused = run(arguments, {"ANE_MAX_COMPILES=3"}, folder.path());
  CHECK(refused.code == 2);
  CHECK_THAT(refused.err, ANE_CONTAINS("the evaluation needs 4 compiles, but a process may make only 3"));
  CHECK(run(arguments, {"ANE_MAX_COMPILES=4"}, folder.path()).code == 0);
  CHECK(run(arguments + Words{"--weights", "dynamic"}, {"ANE_MAX_COMPILES=2"}, folder.path()).code == 0);
}

TEST_CASE("a loss that cannot be computed names the tensor that overflowed", "[app][eval]") {
  const Folder folder;
  write_small_model(folder / "model", small_config(), "F32", 200);
  write_file(folder / "text.txt", text());
  const Words arguments = {"eval", "--model", "model", "--data", "text.txt", "--seq", "32", "--device", "host"};
  const Result overflowed = run(arguments, {}, folder.path());
  CAPTURE(overflowed.out, overflowed.err);
  CHECK(overflowed.code == 5);
  CHECK_THAT(overflowed.err, ANE_CONTAINS("cannot be computed") && ANE_CONTAINS("--precision fp32"));
  CHECK(run(arguments + Words{"--precision", "fp32"}, {}, folder.path()).code == 0);
}

TEST_CASE("a program in PyTorch that shares no code opens exports and computes the same loss", "[app][eval]") {
  const fs::path python = "/usr/bin/python3";
  const Folder folder;
  if (!fs::exists(python) || Program({"-c", "import torch"}, {}, folder.path(), python).wait().code != 0) {
    WARN("skipped: there is no PyTorch here");
    return;
  }
  write_file(folder / "text.txt", text());
  write_small_model(folder / "model");
  REQUIRE(run({"--model", "model", "--data", "text.txt", "--seq", "32", "--steps", "4", "--lr", "0.01", "--device",
               "host", "--checkpoint-dir", "c"},
              {}, folder.path())
              .code == 0);
  REQUIRE(
      run({"export", "--model", "c/step-00000004", "--format", "llama2c", "--out", "m.bin"}, {}, folder.path()).code ==
      0);
  REQUIRE(run({"export", "--model", "c/step-00000004", "--format", "hf", "--out", "bf16", "--dtype", "bf16"}, {},
              folder.path())
              .code == 0);
  const std::string script = (ane::test::source_dir() / "scripts/check_model.py").string();
  for (const std::string model : {"model", "c/step-00000004", "m.bin", "bf16"}) {
    const Result result = Program({script, model, "--data", "text.txt", "--seq", "32", "--program", ANE_TRAIN_PROGRAM},
                                  {}, folder.path(), python)
                              .wait();
    CAPTURE(model, result.out, result.err);
    CHECK(result.code == 0);
    CHECK_THAT(result.out, ANE_CONTAINS("ane-train eval: "));
  }
}
