#include "report_text.h"

#include <array>
#include <cstdint>

#include <nlohmann/json.hpp>

namespace ane::data {
namespace {

using ReportJson = nlohmann::ordered_json;

struct Count {
  const char* name;
  std::uint64_t TokenizeReport::*member;
};
constexpr std::array kCounts = {
    Count{"documents", &TokenizeReport::documents},  Count{"text_bytes", &TokenizeReport::text_bytes},
    Count{"tokens", &TokenizeReport::tokens},        Count{"loss_tokens", &TokenizeReport::loss_tokens},
    Count{"held_out", &TokenizeReport::held_out},    Count{"skipped", &TokenizeReport::skipped},
    Count{"first_file", &TokenizeReport::first_file}};
constexpr const char* kFirstSkipped = "first_skipped";

}  // namespace

std::string report_text(const TokenizeReport& report) {
  ReportJson json;
  for (const auto& [name, member] : kCounts) json[name] = report.*member;
  json[kFirstSkipped] = report.first_skipped;
  return json.dump(-1, ' ', false, ReportJson::error_handler_t::replace);
}

std::optional<TokenizeReport> report_from_text(std::string_view text, const DataFiles& files) {
  const ReportJson json = ReportJson::parse(text, nullptr, false);
  if (!json.is_object()) return std::nullopt;
  TokenizeReport report;
  for (const auto& [name, member] : kCounts) {
    const auto found = json.find(name);
    if (found == json.end() || !found->is_number_unsigned()) return std::nullopt;
    report.*member = found->get<std::uint64_t>();
  }
  const auto found = json.find(kFirstSkipped);
  if (found == json.end() || !found->is_string()) return std::nullopt;
  report.first_skipped = found->get<std::string>();
  return report.first_file < files.training.size() + files.held_out.size() ? std::optional(report) : std::nullopt;
}

}  // namespace ane::data
