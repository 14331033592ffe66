#include "ane/train/telemetry.h"

#include <limits>
#include <sstream>

#include <nlohmann/json.hpp>

#include "ane/core/error.h"
#include "ane/core/file.h"

#include "support/catch.h"
#include "support/temporary_directory.h"

using namespace ane::train;
using Json = nlohmann::ordered_json;

namespace {

constexpr ane::model::Flops kFlops{.forward = 1e9, .backward_dx = 1e9, .backward_dw = 1e9};

void fail_on_warning(const std::string& text) { FAIL(text); }

std::vector<Json> records(const std::filesystem::path& path) {
  std::istringstream lines(ane::read_text_file(path, "telemetry"));
  std::vector<Json> result;
  for (std::string line; std::getline(lines, line);) result.push_back(Json::parse(line));
  return result;
}

std::vector<std::string> keys(const Json& record) {
  std::vector<std::string> names;
  for (const auto& [name, value] : record.items()) names.push_back(name);
  return names;
}

ane::model::StepTimes some_times() {
  using std::chrono::microseconds;
  return {.ane = microseconds(15900),
          .io = microseconds(3800),
          .classifier = microseconds(4500),
          .elementwise = microseconds(14000),
          .rms_norm = microseconds(100),
          .blas_wait = microseconds(250)};
}

}  // namespace

TEST_CASE("step, batch and perf records have the field's names and milliseconds", "[train]") {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "run.jsonl";
  const bool on_ane = GENERATE(true, false);
  Telemetry telemetry(path, kFlops, on_ane ? std::optional(15.8) : std::nullopt, fail_on_warning);
  telemetry.on_step({.step = 7, .loss = 2.5, .lr = 1e-3, .time = {}, .parts = some_times(), .compiles = 61});
  telemetry.on_update({.update = 1,
                       .step = 10,
                       .steps_in_batch = 10,
                       .mean_loss = 2.25,
                       .lr = 1e-3,
                       .grad_norm = 0.5,
                       .loss_scale = 1024,
                       .skipped = {},
                       .compile = std::chrono::milliseconds(412),
                       .train = std::chrono::milliseconds(500),
                       .parts = some_times(),
                       .compiles = 61});
  const auto written = records(path);
  REQUIRE(written.size() == 4);
  CHECK(written[0].dump() ==
        R"({"type":"step","step":7,"loss":2.5,"t_ane":15.9,"t_io":3.8,"t_cls":4.5,"t_elem":14.0,"t_rms":0.1,)"
        R"("t_cblas_wait":0.25,"compiles":61})");
  CHECK(written[1].dump() == R"({"type":"update","update":1,"step":10,"loss":2.25,"lr":0.001,"grad_norm":0.5,)"
                             R"("loss_scale":1024.0,"skipped":false})");
  CHECK(written[2].dump() == R"({"type":"batch","batch":10,"compile_ms":412.0,"train_ms":500.0,"ms_per_step":50.0})");
  CHECK(written[3]["type"] == "perf");
  // 2 of 3 GFLOP per step run on the device, 20 steps per second.
  if (on_ane) {
    CHECK(keys(written[3]) == std::vector<std::string>{"type", "ane_tflops", "ane_util_pct"});
    CHECK(written[3]["ane_tflops"].get<double>() == catch_compat::Approx(0.04));
    CHECK(written[3]["ane_util_pct"].get<double>() == catch_compat::Approx(100 * 0.04 / 15.8));
  } else {
    CHECK(keys(written[3]) == std::vector<std::string>{"type", "host_tflops"});
    CHECK(written[3]["host_tflops"].get<double>() == catch_compat::Approx(0.06));
  }
}

TEST_CASE("the other records have their fields", "[train]") {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "run.jsonl";
  Telemetry telemetry(path, kFlops, std::nullopt, fail_on_warning);
  const ane::model::ModelConfig config{.family = ane::model::Family::mlp, .dim = 64, .hidden = 128, .seq_len = 32};
  telemetry.run({.version = "0.1.0", .model = config, .device = "host", .data = "tokens", .seed = 42, .options = {}});
  UpdateEvent skipped{.update = 2, .step = 20, .steps_in_batch = 10};
  skipped.mean_loss = std::numeric_limits<double>::quiet_NaN();
  skipped.grad_norm = std::numeric_limits<double>::infinity();
  skipped.skipped = "dx of layer 3";
  telemetry.on_update(skipped);
  telemetry.on_validation({.update = 2, .loss = 1.5, .samples = 9, .time = std::chrono::milliseconds(3)});
  telemetry.on_checkpoint({.step = 20, .path = "a \"b\"/\xff", .time = {}});
  telemetry.on_restart({.step = 20, .compiles = 61, .loss = 1.25});
  telemetry.on_resume({.step = 20, .loss = 1.25, .from_checkpoint = false, .time = std::chrono::milliseconds(8)});
  telemetry.end("finished", {.step = 30, .update = 3}, {});

  const auto written = records(path);
  REQUIRE(written.size() == 9);
  CHECK(written[0]["type"] == "run");
  CHECK(written[0]["seed"] == 42);
  CHECK(written[0]["model"] == "dim=64 hidden=128 seq=32");
  CHECK(written[0]["config"]["hidden_size"] == 64);
  CHECK(written[0]["optimizer"]["kind"] == "adamw");
  CHECK(written[1]["skipped"] == true);
  CHECK(written[1]["reason"] == "dx of layer 3");
  CHECK(written[1]["loss"].is_null());
  CHECK(written[1]["grad_norm"].is_null());
  CHECK(written[4].dump() == R"({"type":"val","update":2,"loss":1.5,"samples":9,"ms":3.0})");
  CHECK(written[5]["type"] == "checkpoint");
  CHECK(written[5]["path"] == "a \"b\"/\xef\xbf\xbd");
  CHECK(written[6].dump() == R"({"type":"restart","step":20,"compiles":61,"loss":1.25})");
  CHECK(written[7].dump() == R"({"type":"resume","step":20,"loss":1.25,"from_checkpoint":false,"ms":8.0})");
  CHECK(written[8]["type"] == "end");
  CHECK(written[8]["outcome"] == "finished");
  CHECK(written[8]["step"] == 30);
}

TEST_CASE("records are appended, and an incomplete record of a killed process is removed", "[train]") {
  const TemporaryDirectory directory;
  const auto [end, kept] = GENERATE(table<std::string, std::string>(
      {{"{\"type\":\"st", ""}, {"{", ""}, {"{\"type\":\"step\",\"step\":3}", ""}, {"a note", "a note\n"}, {"", ""}}));
  CAPTURE(end);
  const std::string before = "{\"type\":\"step\"}\n";
  const auto path = directory.write("run.jsonl", before + end);
  Telemetry(path, kFlops, std::nullopt, fail_on_warning).on_restart({.step = 1});
  Telemetry(path, kFlops, std::nullopt, fail_on_warning).on_restart({.step = 2});
  const std::string text = ane::read_text_file(path, "telemetry");
  REQUIRE(text.starts_with(before + kept + "{\"type\":\"restart\""));
  std::istringstream lines(text.substr(before.size() + kept.size()));
  std::vector<std::string> found;
  for (std::string line; std::getline(lines, line);) found.push_back(line);
  REQUIRE(found.size() == 2);
  CHECK(Json::parse(found[0])["step"] == 1);
  CHECK(Json::parse(found[1])["step"] == 2);
}

TEST_CASE("a telemetry file that cannot be opened is an error", "[train]") {
  const TemporaryDirectory directory;
  const auto open = [](const std::filesystem::path& path) {
    const Telemetry telemetry(path, kFlops, std::nullopt, fail_on_warning);
  };
  CHECK_THROWS_AS(open(directory.path()), ane::FileError);
  CHECK_THROWS_AS(open(directory.path() / "missing" / "run.jsonl"), ane::FileError);
  CHECK_THROWS_WITH(open(directory.path() / "missing" / "run.jsonl"),
                    ANE_CONTAINS("telemetry") && ANE_CONTAINS("run.jsonl"));
}

#ifdef __linux__
TEST_CASE("a full disk is reported once and stops telemetry, not the run", "[train]") {
  int warnings = 0;
  Telemetry telemetry("/dev/full", kFlops, std::nullopt, [&](const std::string& text) {
    ++warnings;
    CHECK_THAT(text, ANE_CONTAINS("/dev/full") && ANE_CONTAINS("without telemetry"));
  });
  telemetry.on_restart({});
  telemetry.on_restart({});
  CHECK(warnings == 1);
}
#endif
