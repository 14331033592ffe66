#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "ane/data/text_data.h"

namespace ane::data {

/// A report as JSON, in which caches keep it.
[[nodiscard]] std::string report_text(const TokenizeReport& report);
/// The report in such a text; nullopt if it is none, or not of `files`.
[[nodiscard]] std::optional<TokenizeReport> report_from_text(std::string_view text, const DataFiles& files);

}  // namespace ane::data
