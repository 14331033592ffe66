#include "ane/cli/settings.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "setting_groups.h"

namespace ane::cli {
namespace {

std::vector<Setting> all_rows() {
  std::vector<Setting> rows;
  for (std::vector<Setting> group :
       {run_rows(), model_rows(), fine_tuning_rows(), optimizer_rows(), device_rows(), ane_rows(), output_rows()}) {
    std::move(group.begin(), group.end(), std::back_inserter(rows));
  }
  return rows;
}

}  // namespace

std::string Setting::flag() const { return fmt::format("--{}", name); }

std::string Setting::key() const {
  std::string key(name);
  std::replace(key.begin(), key.end(), '-', '_');
  return key;
}

std::span<const Setting> settings_table() {
  static const std::vector<Setting> rows = all_rows();
  return rows;
}

const Setting& setting(std::string_view name) {
  const std::span<const Setting> rows = settings_table();
  const auto found = std::find_if(rows.begin(), rows.end(), [&](const Setting& row) { return row.name == name; });
  return *found;
}

}  // namespace ane::cli
