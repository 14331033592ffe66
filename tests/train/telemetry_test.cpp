#include "ane/train/telemetry.h"

#include <array>
#include <ctime>
#include <iterator>
#include <limits>
#include <regex>
#include <sstream>

#include <nlohmann/json.hpp>

#include "ane/core/error.h"
#include "ane/core/file.h"

#include "support/catch.h"
#include "support/paths.h"
#include "support/temporary_directory.h"
#include "train/files.h"

using namespace ane::train;
using Json = nlohmann::ordered_json;

namespace {

constexpr StepCost kCost{.tokens = 64, .flops = {.forward = 1e9, .backward_dx = 1e9, .backward_dw = 1e9}};

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

std::string date_of(std::time_t time) {
  std::array<char, 16> text{};
  text.at(std::strftime(text.data(), text.size(), "%Y-%m-%d", std::gmtime(&time))) = 0;
  return text.data();
}

/// The record without its time, which must be valid.
std::string timeless(Json record) {
  const std::regex utc(R"(\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-5]\d\.\d{3}Z)");
  REQUIRE(record.contains("time"));
  const auto time = record["time"].get<std::string>();
  CHECK(std::regex_match(time, utc));
  const std::time_t now = std::time(nullptr);
  CHECK((time.substr(0, 10) == date_of(now) || time.substr(0, 10) == date_of(now - 60)));  // it may be midnight
  CHECK(std::next(record.begin()).key() == "time");
  record.erase("time");
  return record.dump();
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
  StepCost cost = kCost;
  if (on_ane) cost.peak_tflops = 15.8;
  Telemetry telemetry(path, cost, fail_on_warning);
  telemetry.on_step(
      {.step = 7, .update = 0, .loss = 2.5, .lr = 1e-3, .time = {}, .parts = some_times(), .compiles = 61});
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
  CHECK(
      timeless(written[0]) ==
      R"({"type":"step","step":7,"update":0,"loss":2.5,"t_ane":15.9,"t_io":3.8,"t_cls":4.5,"t_elem":14.0,"t_rms":0.1,)"
      R"("t_cblas_wait":0.25,"compiles":61})");
  CHECK(timeless(written[1]) ==
        R"({"type":"update","step":10,"update":1,"tokens":640,"loss":2.25,"lr":0.001,"grad_norm":0.5,)"
        R"("loss_scale":1024.0,"skipped":false})");
  CHECK(timeless(written[2]) ==
        R"({"type":"batch","step":10,"update":1,"batch":10,"compile_ms":412.0,"train_ms":500.0,"ms_per_step":50.0})");
  CHECK(written[3]["type"] == "perf");
  // 2 of 3 GFLOP per step run on the device, 20 steps per second.
  if (on_ane) {
    CHECK(keys(written[3]) == std::vector<std::string>{"type", "time", "step", "update", "ane_tflops", "ane_util_pct"});
    CHECK(written[3]["ane_tflops"].get<double>() == Approx(0.04));
    CHECK(written[3]["ane_util_pct"].get<double>() == Approx(100 * 0.04 / 15.8));
  } else {
    CHECK(keys(written[3]) == std::vector<std::string>{"type", "time", "step", "update", "host_tflops"});
    CHECK(written[3]["host_tflops"].get<double>() == Approx(0.06));
  }
}

TEST_CASE("the other records have their fields", "[train]") {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "run.jsonl";
  Telemetry telemetry(path, kCost, fail_on_warning);
  const ane::model::ModelConfig config{.family = ane::model::Family::mlp, .dim = 64, .hidden = 128, .seq_len = 32};
  telemetry.run({.run_id = 0x2a,
                 .version = "0.1.0",
                 .start = {.step = 10, .update = 1},
                 .model = config,
                 .device = "host",
                 .data = "tokens",
                 .seed = 42,
                 .ranks = 3,
                 .options = {}});
  UpdateEvent skipped{.update = 2, .step = 20, .steps_in_batch = 10};
  skipped.mean_loss = std::numeric_limits<double>::quiet_NaN();
  skipped.grad_norm = std::numeric_limits<double>::infinity();
  skipped.skipped = "dx of layer 3";
  telemetry.on_update(skipped);
  telemetry.on_validation({.update = 2,
                           .step = 20,
                           .loss = 1.5,
                           .samples = 9,
                           .time = std::chrono::milliseconds(3),
                           .best = {.update = 2, .loss = 1.5}});
  telemetry.on_checkpoint({.step = 20, .update = 2, .path = "a \"b\"/\xff", .time = {}});
  telemetry.on_restart({.step = 20, .update = 2, .compiles = 61, .loss = 1.25});
  telemetry.on_resume(
      {.step = 20, .update = 2, .loss = 1.25, .from_checkpoint = false, .time = std::chrono::milliseconds(8)});
  RunReport report;
  report.totals.run_id = 0x2a;
  report.totals.steps = 20;
  report.totals.best_validation = {.update = 2, .loss = 1.5, .above = 1};
  telemetry.on_text_sample({.update = 2,
                            .step = 20,
                            .sample = {.prompt = "a\nb", .text = "\xff", .tokens = 1},
                            .time = std::chrono::milliseconds(3)});
  telemetry.end("finished", {.step = 30, .update = 3}, report);

  const auto written = records(path);
  REQUIRE(written.size() == 10);
  CHECK(written[0]["type"] == "run");
  CHECK(written[0]["run_id"] == "000000000000002a");
  CHECK(written[0]["version"] == "0.1.0");
  CHECK(written[0]["seed"] == 42);
  CHECK(written[0]["ranks"] == 3);
  CHECK(written[0]["tokens_per_step"] == 64);
  CHECK(written[0]["model"] == "dim=64 hidden=128 seq=32");
  CHECK(written[0]["config"]["hidden_size"] == 64);
  CHECK(written[0]["optimizer"]["kind"] == "adamw");
  CHECK(written[1]["skipped"] == true);
  CHECK(written[1]["reason"] == "dx of layer 3");
  CHECK(written[1]["loss"].is_null());
  CHECK(written[1]["grad_norm"].is_null());
  CHECK(timeless(written[4]) == R"({"type":"val","step":20,"update":2,"tokens":1280,"loss":1.5,"best":true,)"
                                R"("best_loss":1.5,"best_update":2,"samples":9,"ms":3.0})");
  CHECK(written[5]["type"] == "checkpoint");
  CHECK(written[5]["path"] == "a \"b\"/\xef\xbf\xbd");
  CHECK(timeless(written[6]) == R"({"type":"restart","step":20,"update":2,"compiles":61,"loss":1.25})");
  CHECK(timeless(written[7]) ==
        R"({"type":"resume","step":20,"update":2,"loss":1.25,"from_checkpoint":false,"ms":8.0})");
  CHECK(timeless(written[8]) == R"({"type":"sample","step":20,"update":2,"prompt":"a\nb","text":")"
                                "\xef\xbf\xbd"
                                R"(","tokens":1,"ms":3.0})");
  CHECK(written[9]["type"] == "end");
  CHECK(written[9]["outcome"] == "finished");
  CHECK(written[9]["step"] == 30);
  CHECK(written[9]["run_id"] == "000000000000002a");
  CHECK(written[9]["tokens"] == 30 * 64);
  CHECK(written[9]["run_tokens"] == 20 * 64);
  CHECK(written[9]["val_best_loss"] == 1.5);
  CHECK(written[9]["val_best_update"] == 2);
  for (const Json& record : written) {
    static_cast<void>(timeless(record));
    CHECK(record["step"].is_number_integer());
    CHECK(record["update"].is_number_integer());
  }
  CHECK(written[0]["step"] == 10);
  CHECK(written[0]["update"] == 1);
  CHECK(written[9]["update"] == 3);
}

TEST_CASE("on several ranks, each update has the times of all", "[train]") {
  using std::chrono::milliseconds;
  const TemporaryDirectory directory;
  const auto path = directory.path() / "run.jsonl";
  Telemetry telemetry(path, kCost, fail_on_warning);
  UpdateEvent update{.update = 3, .step = 12, .steps_in_batch = 4};
  update.ranks = {
      {.compute = milliseconds(20), .waiting = milliseconds(0), .exchange = milliseconds(3), .sent_bytes = 400},
      {.compute = milliseconds(12), .waiting = milliseconds(8), .exchange = milliseconds(4), .sent_bytes = 416}};
  telemetry.on_update(update);
  const auto written = records(path);
  REQUIRE(written.size() == 4);
  CHECK(
      timeless(written[3]) ==
      R"({"type":"ranks","step":12,"update":3,"compute_ms":[20.0,12.0],"waiting_ms":[0.0,8.0],"exchange_ms":[3.0,4.0],)"
      R"("sent_bytes":[400,416]})");
}

TEST_CASE("the best validation is null if there was none", "[train]") {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "run.jsonl";
  Telemetry telemetry(path, kCost, fail_on_warning);
  telemetry.on_validation({.update = 2, .loss = std::numeric_limits<double>::quiet_NaN(), .best = {.above = 1}});
  telemetry.end("finished", {}, {});
  const auto written = records(path);
  CHECK(written[0]["best"] == false);
  CHECK(written[0]["best_loss"].is_null());
  CHECK(written[0]["best_update"].is_null());
  CHECK(written[1]["val_best_loss"].is_null());
}

TEST_CASE("docs/telemetry.md has every record and field", "[train][docs]") {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "run.jsonl";
  const std::string page = ane::read_text_file(ane::test::source_dir() / "docs/telemetry.md", "page");
  for (const bool on_ane : {false, true}) {
    StepCost cost = kCost;
    if (on_ane) cost.peak_tflops = 15.8;
    Telemetry telemetry(path, cost, fail_on_warning);
    const ane::model::ModelConfig config{.family = ane::model::Family::mlp, .dim = 64, .hidden = 128, .seq_len = 32};
    telemetry.run({.version = "", .start = {}, .model = config, .device = "", .data = "", .options = {}});
    telemetry.on_step({});
    UpdateEvent update{.steps_in_batch = 1};
    update.skipped = "overflow";
    update.weights = std::chrono::milliseconds(1);
    update.ranks = {{}, {}};
    telemetry.on_update(update);
    telemetry.on_validation({});
    telemetry.on_text_sample({});
    telemetry.on_checkpoint({});
    telemetry.on_restart({});
    telemetry.on_resume({});
    telemetry.end("finished", {}, {});
  }
  const std::string common = page.substr(0, page.find("| `run` |"));
  for (const Json& record : records(path)) {
    const auto type = record["type"].get<std::string>();
    const std::size_t begin = page.rfind("| `" + type + "` |");  // the fields `step` and `update` have rows, too
    CAPTURE(type);
    REQUIRE(begin != std::string::npos);
    const std::string row = page.substr(begin, page.find('\n', begin) - begin);
    for (const std::string& key : keys(record)) {
      CAPTURE(key);
      CHECK((row.find("`" + key + "`") != std::string::npos || common.find("`" + key + "`") != std::string::npos));
    }
  }
}

TEST_CASE("records are appended, and an incomplete record of a killed process is removed", "[train]") {
  const TemporaryDirectory directory;
  const auto [end, kept] = GENERATE(table<std::string, std::string>(
      {{"{\"type\":\"st", ""}, {"{", ""}, {"{\"type\":\"step\",\"step\":3}", ""}, {"a note", "a note\n"}, {"", ""}}));
  CAPTURE(end);
  const std::string before = "{\"type\":\"step\"}\n";
  const auto path = directory.write("run.jsonl", before + end);
  Telemetry(path, kCost, fail_on_warning).on_restart({.step = 1});
  Telemetry(path, kCost, fail_on_warning).on_restart({.step = 2});
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
  const auto open = [](const std::filesystem::path& path) { const Telemetry telemetry(path, kCost, fail_on_warning); };
  CHECK_THROWS_AS(open(directory.path()), ane::FileError);
  CHECK_THROWS_AS(open(directory.path() / "missing" / "run.jsonl"), ane::FileError);
  CHECK_THROWS_WITH(open(directory.path() / "missing" / "run.jsonl"),
                    ANE_CONTAINS("telemetry") && ANE_CONTAINS("run.jsonl"));
}

#ifdef __linux__
TEST_CASE("a full disk is reported once and stops telemetry, not the run", "[train]") {
  int warnings = 0;
  Telemetry telemetry("/dev/full", kCost, [&](const std::string& text) {
    ++warnings;
    CHECK_THAT(text, ANE_CONTAINS("/dev/full") && ANE_CONTAINS("without telemetry"));
  });
  telemetry.on_restart({});
  telemetry.on_restart({});
  CHECK(warnings == 1);
}
#endif
