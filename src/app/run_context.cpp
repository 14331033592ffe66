#include "ane/app/run_context.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

#include "ane/app/devices.h"
#include "ane/app/model_choice.h"
#include "ane/app/parallel_sequences.h"
#include "ane/core/error.h"
#include "ane/core/file.h"

namespace ane::app {
namespace {

/// One directory for all processes of a run, which share one process ID, so that repeated failures do not fill the
/// disk.
std::filesystem::path failures_directory() {
  return private_temporary_directory(fmt::format("ane-train-failed-{}", ::getpid()));
}

int thread_count(const cli::Settings& settings) {
  return settings.threads > 0 ? static_cast<int>(settings.threads) : math::processor_count();
}

std::unique_ptr<RecordingDevice> make_device(const cli::Settings& settings, std::optional<PlannedFaults> faults,
                                             math::ThreadPool& threads, int slots, std::string& note) {
  PickedDevice picked = pick_device(settings.device, ane_options(settings), threads, slots);
  note = std::move(picked.note);
  if (faults) {
    picked.device =
        std::make_unique<device::FaultDevice>(std::move(picked.device), std::move(faults->plan), faults->process);
  }
  RecordingDevice::Settings recording{.failures_to = failures_directory};
  if (!settings.dump_mil.empty()) recording.dump_to = settings.dump_mil;
  return std::make_unique<RecordingDevice>(std::move(picked.device), std::move(recording));
}

}  // namespace

std::optional<PlannedFaults> planned_faults(std::span<const std::string> environment, std::int64_t process) try {
  const std::string prefix = fmt::format("{}=", kFaultVariable);
  const auto found = std::find_if(environment.begin(), environment.end(),
                                  [&](const std::string& entry) { return entry.starts_with(prefix); });
  if (found == environment.end()) return std::nullopt;
  return PlannedFaults{device::parse_faults(std::string_view(*found).substr(prefix.size())), process};
} catch (const UsageError& error) {
  throw UsageError(fmt::format("{}: {}", kFaultVariable, error.what()));
}

RunContext::RunContext(const cli::Settings& settings, std::optional<PlannedFaults> faults, model::SpanListener* spans)
    : threads_(thread_count(settings)),
      faults_planned_(faults.has_value()),
      // Faults are counted by runs, whose order must then be deterministic.
      slots_(faults_planned_ ? 1 : parallel_sequences(settings, threads_.size())),
      device_(make_device(settings, std::move(faults), threads_, slots_, device_note_)),
      weights_(resolve_weights(settings, *device_)),
      surfaces_(device_->surface_allocator(), surfaces_to_keep(settings, *device_, slots_)),
      available_memory_(ane::available_memory()),
      model_(make_model(resolved(settings, weights_),
                        {*device_, surfaces_, threads_, spans, static_cast<std::size_t>(slots_)})) {}

std::string RunContext::device_text() const {
  std::string text = device_->description();
  if (const std::size_t sequences = model_->batch_slots(); sequences > 1)
    text += fmt::format(", {} batch slots", sequences);
  return text;
}

}  // namespace ane::app
