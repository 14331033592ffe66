#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "ane/core/error.h"
#include "ane/report/page.h"
#include "ane/report/recorded_run.h"

#include "fuzz/support.h"

namespace fuzz {

using namespace ane;

void telemetry(Bytes bytes) {
  static InputFile input("run.jsonl");
  may_refuse<FileError>([&] {
    const std::vector<report::RecordedRun> runs = report::read_runs(input.hold(bytes));
    for (const report::RecordedRun& run : runs)
      for (const auto& [name, values] : run.updates)
        require(values.size() == run.updates.at("time_s").size(), "columns have equal lengths");
    const std::string page = report::make_page(runs);
    const std::string begin = R"(id="runs">)";
    const std::size_t at = page.find(begin) + begin.size();
    const nlohmann::json data = nlohmann::json::parse(page.substr(at, page.find("</script>", at) - at));
    require(data.size() == runs.size(), "the page has the data of all runs");
  });
}

}  // namespace fuzz
