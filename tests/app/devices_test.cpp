#include "ane/app/devices.h"

#include <string>
#include <vector>

#include "ane/cli/command_line.h"

#include "support/catch.h"

namespace {

using namespace ane;

cli::Settings load(const std::vector<std::string>& arguments) {
  return cli::load_settings(cli::parse_command_line(std::vector{cli::training_command()}, arguments).values, {}).values;
}

}  // namespace

TEST_CASE("settings of the bridge have the bridge's defaults, and reach it", "[app][settings]") {
  using device::apple::AneOptions;
  const AneOptions own;
  const AneOptions defaults = app::ane_options(cli::Settings{});
  CHECK(defaults.qos == own.qos);
  CHECK(defaults.load_retries == own.load_retries);
  CHECK(defaults.cancel_retries == own.cancel_retries);
  CHECK(defaults.purge_cached == own.purge_cached);
  CHECK(defaults.compare_attributes == own.compare_attributes);

  const AneOptions set = app::ane_options(load({"--ane-qos", "33", "--ane-load-retries", "4", "--ane-cancel-retries",
                                                "0", "--no-ane-purge-cache", "--no-ane-compare-attributes"}));
  CHECK(set.qos == 33);
  CHECK(set.load_retries == 4);
  CHECK(set.cancel_retries == 0);
  CHECK_FALSE(set.purge_cached);
  CHECK_FALSE(set.compare_attributes);
}
