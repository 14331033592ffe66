#include "ane/app/faults.h"

#include <algorithm>
#include <memory>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "ane/core/error.h"
#include "ane/device/fault_device.h"

namespace ane::app {

DeviceWrapper injected_faults(std::span<const std::string> environment, std::int64_t process) try {
  const std::string prefix = fmt::format("{}=", kFaultVariable);
  const auto found = std::find_if(environment.begin(), environment.end(),
                                  [&](const std::string& entry) { return entry.starts_with(prefix); });
  if (found == environment.end()) return {};
  const device::FaultPlan plan = device::parse_faults(std::string_view(*found).substr(prefix.size()));
  return [plan, process](std::unique_ptr<device::Device> device) {
    return std::make_unique<device::FaultDevice>(std::move(device), plan, process);
  };
} catch (const UsageError& error) {
  throw UsageError(fmt::format("{}: {}", kFaultVariable, error.what()));
}

}  // namespace ane::app
