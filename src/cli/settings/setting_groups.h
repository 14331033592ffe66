#pragma once

#include <cstdint>
#include <vector>

#include "ane/cli/settings.h"

/// The groups of the table of settings.
namespace ane::cli {

inline constexpr std::int64_t kMillion = 1000000;
inline constexpr std::int64_t kBillion = 1000 * kMillion;

[[nodiscard]] std::vector<Setting> run_rows();
[[nodiscard]] std::vector<Setting> model_rows();
[[nodiscard]] std::vector<Setting> fine_tuning_rows();
[[nodiscard]] std::vector<Setting> optimizer_rows();
[[nodiscard]] std::vector<Setting> device_rows();
/// Where reports about Apple's framework disagree, the default is the safest choice; these settings select the others.
[[nodiscard]] std::vector<Setting> ane_rows();
[[nodiscard]] std::vector<Setting> output_rows();

}  // namespace ane::cli
