#include "ane/report/recorded_run.h"

#include <cmath>
#include <fstream>
#include <string>
#include <vector>

#include "ane/core/error.h"

#include "support/catch.h"
#include "support/temporary_directory.h"

using namespace ane;

namespace {

const std::string kRun =
    R"({"type":"run","time":"2026-03-01T12:00:00.000Z","step":0,"update":0,"run_id":"a","device":"host","seed":7,)"
    R"("config":{"hidden_size":64,"deep":{"er":1}}})"
    "\n";

std::string sequence(int step, double ane, double io) {
  return R"({"type":"step","time":"2026-03-01T12:00:01.000Z","step":)" + std::to_string(step) +
         R"(,"update":0,"loss":3,"t_ane":)" + std::to_string(ane) + R"(,"t_io":)" + std::to_string(io) +
         R"(,"t_cls":0,"t_elem":0,"t_rms":0,"t_cblas_wait":0,"compiles":1})" + "\n";
}

std::string update(int update, double loss) {
  return R"({"type":"update","time":"2026-03-01T12:00:02.500Z","step":)" + std::to_string(2 * update) +
         R"(,"update":)" + std::to_string(update) + R"(,"tokens":128,"loss":)" + std::to_string(loss) +
         R"(,"lr":0.01,"grad_norm":null,"loss_scale":1024,"skipped":false})" + "\n";
}

std::string batch(int update) {
  return R"({"type":"batch","time":"2026-03-01T12:00:02.500Z","step":2,"update":)" + std::to_string(update) +
         R"(,"batch":2,"compile_ms":13.5,"train_ms":100,"ms_per_step":50})" + "\n";
}

class Telemetry {
 public:
  explicit Telemetry(const std::string& text) { std::ofstream(path()) << text; }
  [[nodiscard]] std::filesystem::path path() const { return directory_.path() / "run.jsonl"; }
  [[nodiscard]] std::vector<report::RecordedRun> runs() const { return report::read_runs(path()); }

 private:
  TemporaryDirectory directory_;
};

std::string fault_of(const std::string& text) {
  const Telemetry file(text);
  try {
    static_cast<void>(file.runs());
  } catch (const FileError& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("each run of a telemetry file has its settings, numbers and events", "[report]") {
  const std::string restart =
      R"({"type":"restart","time":"2026-03-01T12:01:00.250Z","step":2,"update":1,"compiles":9,"loss":3})";
  const std::string validation =
      R"({"type":"val","time":"2026-03-01T12:00:03.000Z","step":2,"update":1,"tokens":128,"loss":2.5,"best":true})";
  const std::string sample =
      R"({"type":"sample","time":"2026-03-01T12:00:04.000Z","step":2,"update":1,"prompt":"To","text":" be"})";
  const std::string end =
      R"({"type":"end","time":"2026-03-01T12:01:00.250Z","step":2,"update":1,"outcome":"finished"})";
  const Telemetry file(kRun + sequence(1, 10, 1) + sequence(2, 20, 2) + update(1, 3.5) + batch(1) + validation + "\n" +
                       sample + "\n" + restart + "\n" + R"({"type":"other","time":"2026-03-01T12:00:04.000Z"})" + "\n" +
                       sequence(3, 7, 0) + update(2, 3.25) + end + "\n" + kRun + update(1, 9));
  const std::vector<report::RecordedRun> runs = file.runs();
  REQUIRE(runs.size() == 2);
  const report::RecordedRun& run = runs.front();
  CHECK(run.file == "run.jsonl");
  CHECK(run.settings == std::vector<std::pair<std::string, std::string>>{
                            {"config.hidden_size", "64"}, {"device", "host"}, {"run_id", "a"}, {"seed", "7"}});
  CHECK(run.summary == std::vector<std::pair<std::string, std::string>>{{"outcome", "finished"}});
  CHECK(run.updates.at("update") == std::vector<double>{1, 2});
  CHECK(run.updates.at("step") == std::vector<double>{2, 4});
  CHECK(run.updates.at("loss") == std::vector<double>{3.5, 3.25});
  CHECK(run.updates.at("time_s") == std::vector<double>{2.5, 2.5});
  CHECK(run.updates.at("t_ane") == std::vector<double>{15, 7});
  CHECK(run.updates.at("t_io") == std::vector<double>{1.5, 0});
  CHECK(run.updates.at("compile_ms").front() == 13.5);
  CHECK(std::isnan(run.updates.at("compile_ms").back()));  // killed before its `batch` record
  CHECK(std::isnan(run.updates.at("grad_norm").front()));
  CHECK(run.validations.at("loss") == std::vector<double>{2.5});
  REQUIRE(run.events.size() == 1);
  CHECK(run.events.front().kind == "restart");
  CHECK(run.events.front().time_s == 60.25);
  REQUIRE(run.samples.size() == 1);
  CHECK(run.samples.front().text == " be");
  CHECK(runs.back().updates.at("loss") == std::vector<double>{9});
  CHECK(std::isnan(runs.back().updates.at("t_ane").front()));
}

TEST_CASE("a line that a killed process did not finish is ignored", "[report]") {
  const Telemetry file(kRun + update(1, 3) + R"({"type":"upd)");
  CHECK(file.runs().front().updates.at("loss").size() == 1);
}

TEST_CASE("a file that is no telemetry is refused with its line", "[report]") {
  CHECK_THAT(fault_of(""), ANE_CONTAINS("run.jsonl: the file has no record"));
  CHECK_THAT(fault_of("hello\n"), ANE_CONTAINS("run.jsonl:1: line 1, column 1"));
  CHECK_THAT(fault_of("[1]\n"), ANE_CONTAINS("run.jsonl:1: this is not a record"));
  CHECK_THAT(fault_of(kRun + R"({"type":3})" + "\n"), ANE_CONTAINS("run.jsonl:2: this is not a record"));
  CHECK_THAT(fault_of(kRun + R"({"type":"step","time":"yesterday"})" + "\n"),
             ANE_CONTAINS("run.jsonl:2: the record has no"));
  CHECK_THAT(fault_of(update(1, 3)), ANE_CONTAINS("run.jsonl:1: the first record"));
  CHECK_THAT(fault_of(kRun + std::string(100000, '[') + "\n"), ANE_CONTAINS("run.jsonl:2: "));
  CHECK_THAT(fault_of(kRun + std::string(17 << 20, ' ') + "\n"), ANE_CONTAINS("run.jsonl:2: the line is too long"));
  CHECK_THROWS_AS(report::read_runs("/nowhere/run.jsonl"), FileError);
}

TEST_CASE("times are read to the millisecond", "[report]") {
  CHECK(report::seconds_since_1970("1970-01-02T00:00:01.500Z") == 86401.5);
  CHECK(report::seconds_since_1970("2026-03-01T12:34:56.789Z") == Approx(1772368496.789).epsilon(1e-15));
  for (const char* wrong :
       {"", "2026-03-01T12:34:56Z", "2026-02-30T12:34:56.789Z", "2026-03-01 12:34:56.789Z", "2026-03-01T12:34:56.789X",
        "2026-03-01T25:34:56.789Z", "2026-0a-01T12:34:56.789Z", "2026-03-01T12:34:56.-89Z"})
    CHECK_FALSE(report::seconds_since_1970(wrong));
}
