#include "ane/report/page.h"

#include <limits>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "support/catch.h"

using namespace ane;

namespace {

/// The data that the page draws.
nlohmann::json data_in(const std::string& page) {
  const std::string begin = R"(id="runs">)";
  const std::size_t at = page.find(begin) + begin.size();
  return nlohmann::json::parse(page.substr(at, page.find("</script>", at) - at));
}

}  // namespace

TEST_CASE("the page contains the numbers of the runs", "[report]") {
  report::RecordedRun run;
  run.file = "a.jsonl";
  run.settings = {{"seed", "7"}};
  run.updates["loss"] = {3.5, std::numeric_limits<double>::quiet_NaN(), 1.0 / 3};
  run.events = {{"restart", 1.5, 20}};
  const nlohmann::json data = data_in(report::make_page(std::vector{run}));
  REQUIRE(data.size() == 1);
  CHECK(data[0]["updates"]["loss"][0] == 3.5);
  CHECK(data[0]["updates"]["loss"][1].is_null());
  CHECK(data[0]["updates"]["loss"][2] == 1.0 / 3);
  CHECK(data[0]["events"][0]["kind"] == "restart");
  CHECK(data[0]["settings"][0][1] == "7");
}

TEST_CASE("text of a run cannot become part of the page", "[report]") {
  report::RecordedRun run;
  const std::string hostile = "</script><script>alert(1)</script><!-- \xff RECORDED_RUNS";
  run.samples = {{1, hostile, hostile}};
  const std::string page = report::make_page(std::vector{run});
  CHECK(page.find("alert(1)</script>") == std::string::npos);
  CHECK_THAT(data_in(page)[0]["samples"][0]["text"].get<std::string>(), ANE_CONTAINS("</script><script>alert(1)"));
}

TEST_CASE("of a long run the page has every n-th update, and the last one", "[report]") {
  report::RecordedRun run;
  for (int i = 1; i <= 10001; ++i) run.updates["update"].push_back(i);
  const nlohmann::json updates = data_in(report::make_page(std::vector{run}))[0]["updates"]["update"];
  CHECK(updates.size() == 3334);
  CHECK(updates.size() <= report::kMostUpdates);
  CHECK(updates.back() == 10001);
  CHECK(updates[1].get<int>() - updates[0].get<int>() == 3);
}

TEST_CASE("the page loads nothing", "[report]") {
  const std::string page = report::make_page({});
  for (const char* loader : {"<link", "src=", "@import", "url(", "fetch("})
    CHECK(page.find(loader) == std::string::npos);
}
