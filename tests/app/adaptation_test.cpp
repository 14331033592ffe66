#include <algorithm>
#include <cmath>
#include <sstream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "app/persona_programs.h"
#include "app/small_run.h"
#include "app/telemetry_records.h"
#include "support/catch.h"
#include "support/sanitized.h"

// Runs on the personas of the stand-in, before and after ane-train doctor --explore.

#ifdef ANE_TRAIN_STANDIN

using namespace cli_test;

namespace {

using Json = nlohmann::json;

const Words kAdaptedModel = {"--dim",   "32", "--hidden", "64", "--heads",   "2",
                             "--vocab", "64", "--seq",    "32", "--threads", "1"};
const Words kAdaptedRun =
    kAdaptedModel + Words{"--layers",      "2", "--steps",     "24",        "--accum-steps", "4",
                          "--val-samples", "4", "--telemetry", "out.jsonl", "--weights",     "auto"};

double validation_loss(const Folder& folder) {
  return telemetry_records(folder / "out.jsonl", "val").at(0)["loss"].get<double>();
}

void explore(const Folder& folder, const std::string& chip) {
  const Result explored = on_persona(folder, chip, {"doctor", "--explore"});
  CAPTURE(chip, explored.out, explored.err);
  REQUIRE(explored.code == 0);
}

}  // namespace

TEST_CASE("on every persona a run with automatic choices learns what it would on the host", "[app][adaptation]") {
  const auto [chip, weights, budget] = GENERATE(table<std::string, std::string, int>({{"m1", "dynamic", 95},
                                                                                      {"m3-ultra", "dynamic", 95},
                                                                                      {"m4", "dynamic", 105},
                                                                                      {"m5", "dynamic", 135},
                                                                                      {"generous", "dynamic", 189},
                                                                                      {"scarce", "dynamic", 43}}));
  if (kSanitized && chip != "m1" && chip != "m5" && chip != "scarce") return;
  const Folder host;
  REQUIRE(on_persona(host, "m4", kAdaptedRun + Words{"--device", "host"}).code == 0);
  const Folder folder;
  explore(folder, chip);
  const Result result = on_persona(folder, chip, kAdaptedRun + Words{"--device", "auto"});
  CAPTURE(chip, result.out, result.err);
  REQUIRE(result.code == 0);
  CHECK_THAT(result.out + result.err, ANE_CONTAINS("Weights: " + weights + " (auto)"));
  CHECK(count(result.err, "Adapted: compile budget " + std::to_string(budget) + ": ") == 1);
  CHECK(count(result.err, "Packing: channels (auto)") == (chip == "m1" ? 1 : 0));
  CHECK_THAT(result.err, !ANE_CONTAINS("--explore"));
  CHECK(telemetry_records(folder / "out.jsonl", "run").at(0)["max_compiles"] == budget);
  const std::vector<Json> adapted = telemetry_records(folder / "out.jsonl", "adapted");
  CHECK(adapted.size() == count(result.err, "Adapted: "));
  CHECK(adapted.size() >= 4);
  CHECK(std::abs(validation_loss(folder) - validation_loss(host)) <= 1e-3 * validation_loss(host));
}

TEST_CASE("weights beside the activations fail on M1, and automatic packing puts them below", "[app][adaptation]") {
  const Folder folder;
  explore(folder, "m1");
  const Words dynamic =
      kAdaptedModel + Words{"--layers",  "1",       "--steps",  "4",   "--accum-steps",    "2", "--val-samples", "2",
                            "--weights", "dynamic", "--device", "ane", "--checkpoint-dir", "c"};
  const Result fixed = on_persona(folder, "m1", dynamic + Words{"--packing", "width"});
  CAPTURE(fixed.out, fixed.err);
  CHECK(fixed.code == 4);
  CHECK_THAT(fixed.err, ANE_CONTAINS("R3 (wrong result)"));
  const Result adapted = on_persona(folder, "m1", dynamic);
  CAPTURE(adapted.out, adapted.err);
  CHECK(adapted.code == 0);
  CHECK(count(adapted.err, "Adapted: packing of the kernels' input along the channels: ") == 1);
  CHECK_THAT(adapted.err, ANE_CONTAINS("Packing: channels (auto): packed along the width, kernel 'attn_fwd'"));
  const Words sample = {"sample",       "--model", "c/step-00000004", "--device", "ane",     "--prompt-tokens", "1,2,3",
                        "--max-tokens", "4",       "--temperature",   "0",        "--tokens"};
  CHECK(on_persona(folder, "m1", sample + Words{"--packing", "width"}).code == 4);
  const Result sampled = on_persona(folder, "m1", sample);
  CAPTURE(sampled.err);
  CHECK(sampled.code == 0);
  CHECK(sampled.out == on_persona(folder, "m4", with(sample, "--device", "host")).out);
}

TEST_CASE("a virtual machine without an engine trains on the host", "[app][adaptation]") {
  const Folder folder;
  const Result result = on_persona(folder, "vm", kAdaptedRun + Words{"--device", "auto"});
  CHECK(result.code == 0);
  CHECK_THAT(result.err, !ANE_CONTAINS("Adapted") && !ANE_CONTAINS("--explore"));
}

TEST_CASE("a run on an engine that has not been explored says once what could help", "[app][adaptation]") {
  const Folder folder;
  const Words restarting = with(kAdaptedRun, "--weights", "baked") + Words{"--device", "ane", "--max-compiles", "20"};
  const Result result = on_persona(folder, "m1", restarting);
  CAPTURE(result.out, result.err);
  REQUIRE(result.code == 0);
  CHECK(count(result.err, "ane-train doctor --explore finds out") == 1);
  CHECK(count(result.out, "restart") >= 1);
  CHECK(telemetry_records(folder / "out.jsonl", "adapted").empty());

  explore(folder, "m1");
  const Result adapted = on_persona(folder, "m1", restarting);  // never above --max-compiles
  CHECK_THAT(adapted.err, ANE_CONTAINS("Adapted: "));
  CHECK(count(adapted.err, "Adapted: compile budget") == 1);  // not by every process
  CHECK(telemetry_records(folder / "out.jsonl", "run").back()["max_compiles"] == 20);

  write_file(folder / "cache/ane-train/engine.json", "{");
  const Result damaged = on_persona(folder, "m1", restarting);
  CHECK(damaged.code == 0);
  CHECK_THAT(damaged.err, ANE_CONTAINS("engine.json: it is damaged") && !ANE_CONTAINS("Adapted: "));
}

TEST_CASE("a fixed budget fails on a scarce engine, and an adapted one does not", "[app][adaptation]") {
  const Folder folder;
  const Words deep = kAdaptedModel + Words{"--layers", "11", "--accum-steps", "2", "--val-samples", "2"};
  REQUIRE(
      on_persona(folder, "scarce", deep + Words{"--steps", "2", "--device", "host", "--checkpoint-dir", "base"}).code ==
      0);
  const Words tune = {"--model",       "base/step-00000002",
                      "--lora",        "4",
                      "--seq",         "32",
                      "--steps",       "4",
                      "--accum-steps", "2",
                      "--threads",     "1",
                      "--val-samples", "2",
                      "--weights",     "auto",
                      "--device",      "ane"};
  const Result fixed = on_persona(folder, "scarce", tune);
  CAPTURE(fixed.out, fixed.err);
  CHECK(fixed.code == 4);
  CHECK_THAT(fixed.err, ANE_CONTAINS("the ANE's compiler refused the program"));
  explore(folder, "scarce");
  const Result adapted = on_persona(folder, "scarce", tune);
  CAPTURE(adapted.out, adapted.err);
  CHECK(adapted.code == 0);
  CHECK_THAT(adapted.out + adapted.err, ANE_CONTAINS("but one process holds at most 43"));
}

TEST_CASE("two sets of kernels that a scarce engine cannot hold are refused once that is known", "[app][adaptation]") {
  const Folder folder;
  const Words pipeline =
      kAdaptedModel + Words{"--layers", "6",          "--steps",  "12", "--accum-steps", "2", "--val-samples",
                            "2",        "--pipeline", "--device", "ane"};
  const Result fixed = on_persona(folder, "scarce", pipeline);
  CAPTURE(fixed.out, fixed.err);
  CHECK(count(fixed.err, "a compile failed and is retried in a fresh process") == 4);  // at every update
  explore(folder, "scarce");
  const Result refused = on_persona(folder, "scarce", pipeline);
  CHECK(refused.code == 2);
  CHECK_THAT(refused.err, ANE_CONTAINS("61 programs, but the ANE loads at most 54 at once"));
}

#endif
