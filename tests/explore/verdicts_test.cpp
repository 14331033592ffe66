#include "ane/explore/verdicts.h"

#include <string>

#include "ane/core/error.h"

#include "support/catch.h"
#include "support/temporary_directory.h"

namespace ane::explore {
namespace {

Verdicts sample() {
  return {.machine = {"Apple M4", "h16g", "macOS 26.3 (25D125)", "0.1.0"},
          .explored = "2026-11-27T20:37:06Z",
          .findings = {{"overflow", {"infinite", 1, "a sum of 40,000 is infinite"}},
                       {"failures", {"reported", std::nullopt, "\"quoted\", on\ntwo lines"}}}};
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

TEST_CASE("verdicts are read as they were written", "[explore][verdicts]") {
  CHECK(parse_verdicts("engine.json", to_json(sample())) == sample());
  REQUIRE(sample().find("overflow") != nullptr);
  CHECK(sample().find("overflow")->value == 1);
  CHECK(sample().find("idle") == nullptr);
  for (const auto& [name, finding] : sample().findings) {
    CHECK(to_line(finding).find('\n') == std::string::npos);
    CHECK(finding_in(to_line(finding)) == finding);
  }
  CHECK_FALSE(finding_in("compiling").has_value());
  CHECK_FALSE(finding_in(R"({"verdict": "limited", "value": "7", "words": ""})").has_value());
}

TEST_CASE("a file that cannot be trusted is ignored with one line", "[explore][verdicts]") {
  const TemporaryDirectory directory;
  const Machine here = sample().machine;
  const std::string good = to_json(sample());
  const auto read = [&](const std::string& text, const Machine& machine) {
    return read_verdicts(directory.write("engine.json", text), machine);
  };
  CHECK(read(good, here).verdicts == sample());
  CHECK(read_verdicts(directory.path() / "missing.json", here).ignored.empty());

  struct Row {
    std::string text;
    std::string reason;
  };
  const auto row = GENERATE_COPY(
      Row{"", "it is not a JSON object"}, Row{good.substr(0, good.size() / 2), "it is not a JSON object"},
      Row{replaced(good, "\"version\": 1", "\"version\": 2"), "version 2 of the format"},
      Row{replaced(good, "\"version\": 1", "\"version\": true"), "'version' should be a number"},
      Row{replaced(good, "ane-train engine", "another"), "ane-train doctor did not write it"},
      Row{replaced(good, "\"chip\": \"Apple M4\"", "\"chip\": 4"), "'chip' should be a string"},
      Row{replaced(good, "\"value\": 1.0", "\"value\": \"1\""), "'overflow' is not a finding"},
      Row{std::string(2 << 20, ' ') + good, "bytes"}, Row{std::string(100000, '['), "it is not a JSON object"});
  const Known known = read(row.text, here);
  CAPTURE(row.reason, known.ignored);
  CHECK_FALSE(known.verdicts.has_value());
  CHECK_THAT(known.ignored, ANE_CONTAINS(row.reason) && ANE_CONTAINS("it is ignored"));
  CHECK(known.ignored.find('\n') == std::string::npos);
}

TEST_CASE("verdicts of another machine, system or version are ignored", "[explore][verdicts]") {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "ane-train" / "engine.json";
  write_verdicts(path, sample());
  const auto changed = [&](std::string Machine::*member) {
    Machine machine = sample().machine;
    machine.*member = "another";
    const Known known = read_verdicts(path, machine);
    CHECK_FALSE(known.verdicts.has_value());
    return known.ignored;
  };
  CHECK_THAT(changed(&Machine::chip), ANE_CONTAINS("it describes the chip 'Apple M4', but this is 'another'"));
  CHECK_THAT(changed(&Machine::os), ANE_CONTAINS("the system 'macOS 26.3 (25D125)'"));
  CHECK_THAT(changed(&Machine::driver), ANE_CONTAINS("the ane-train version '0.1.0'"));
  CHECK_THAT(changed(&Machine::architecture), ANE_CONTAINS("the engine 'h16g'"));
}

TEST_CASE("the file is in the user's directory for caches", "[explore][verdicts]") {
  using Words = std::vector<std::string>;
  CHECK(verdicts_file(Words{"XDG_CACHE_HOME=/c"}) == "/c/ane-train/engine.json");
  CHECK_FALSE(verdicts_file(Words{}).has_value());
}

}  // namespace
}  // namespace ane::explore
