#include "faults/faulty_program.h"

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <unistd.h>

#include "ane/app/program.h"
#include "ane/app/restart_context.h"
#include "ane/core/error.h"

#include "faults/fault_device.h"

extern char** environ;  // NOLINT: POSIX declares it so

namespace ane::test {

namespace {

constexpr const char* kVariable = "ANE_TRAIN_FAULT";

/// 1-based index of this process within the run.
std::int64_t process_index() {
  std::vector<std::string> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) environment.emplace_back(*entry);
  const std::optional<app::RestartContext> before = app::find_restart_context(environment);
  return before ? before->process : 1;
}

std::unique_ptr<device::Device> with_planned_faults(std::unique_ptr<device::Device> device) try {
  const char* const plan = std::getenv(kVariable);
  if (plan == nullptr) return device;
  return std::make_unique<FaultDevice>(std::move(device), parse_faults(plan), process_index());
} catch (const UsageError& error) {
  throw UsageError(fmt::format("{}: {}", kVariable, error.what()));
}

}  // namespace

int run_faulty_program(char** argv, explore::Clock* clock) {
  return app::run_program(argv, with_planned_faults, clock);
}

}  // namespace ane::test
