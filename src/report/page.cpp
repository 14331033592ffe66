#include "ane/report/page.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "page_template.h"

namespace ane::report {
namespace {

using Json = nlohmann::json;

/// Every n-th value, so that at most kMostUpdates remain; the last one always does.
std::vector<double> thinned(const std::vector<double>& values) {
  const std::size_t every = (values.size() + kMostUpdates - 1) / kMostUpdates;
  if (every <= 1) return values;
  std::vector<double> kept;
  kept.reserve(values.size() / every + 1);
  for (std::size_t i = (values.size() - 1) % every; i < values.size(); i += every) kept.push_back(values[i]);
  return kept;
}

Json to_json(const Columns& columns) {
  Json json = Json::object();
  for (const auto& [name, values] : columns) json[name] = thinned(values);
  return json;
}

Json to_json(const RecordedRun& run) {
  Json events = Json::array();
  for (const Event& event : run.events)
    events.push_back({{"kind", event.kind}, {"time_s", event.time_s}, {"step", event.step}});
  Json samples = Json::array();
  for (const Sample& sample : run.samples)
    samples.push_back({{"step", sample.step}, {"prompt", sample.prompt}, {"text", sample.text}});
  return {{"file", run.file},
          {"settings", run.settings},
          {"summary", run.summary},
          {"updates", to_json(run.updates)},
          {"validations", to_json(run.validations)},
          {"events", std::move(events)},
          {"samples", std::move(samples)}};
}

/// JSON in which nothing can end the script element that contains it.
std::string script_text(const Json& json) {
  std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  std::string escaped;
  escaped.reserve(text.size());
  for (const char c : text) {
    if (c == '<')
      escaped += "\\u003c";
    else
      escaped += c;
  }
  return escaped;
}

}  // namespace

std::string make_page(std::span<const RecordedRun> runs) {
  Json data = Json::array();
  for (const RecordedRun& run : runs) data.push_back(to_json(run));
  constexpr std::string_view kMark = "RECORDED_RUNS";
  std::string page(kPageTemplate);
  return page.replace(page.find(kMark), kMark.size(), script_text(data));
}

}  // namespace ane::report
