#include "ane/device/apple/ane_device.h"

#include <memory>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "ane/mil/text.h"

#include "ane_kernel.h"
#include "broken_rules.h"
#include "compile_workers.h"
#include "io_surface.h"
#include "loaded_models.h"
#include "program_files.h"

namespace ane::device::apple {

namespace {

std::vector<Port> make_ports(const mil::Function& function, std::span<const mil::ValueId> values) {
  std::vector<Port> ports;
  for (const mil::ValueId id : values) {
    const mil::Value& value = function.value(id);
    ports.push_back({value.name, value.type, mil::surface_layout(value.type).size_bytes});
  }
  return ports;
}

/// Throws if `program` breaks a rule with severity refusal or wrong_result.
void refuse_broken_rules(const mil::Program& program, const mil::Blobs& weights, const Session& session) {
  std::string text;
  int count = 0;
  for (const mil::Diagnostic& diagnostic :
       broken_rules(program, &weights, session.frameworks.probe().chip, session.options.rules)) {
    if (!mil::is_fault(diagnostic.severity)) continue;
    text += "\n  " + to_string(diagnostic);
    ++count;
  }
  if (count > 0) throw CompileError(fmt::format("the program breaks {} rule(s) of the ANE:{}", count, text));
}

/// About workers that failed.
std::string worker_warning(const AneCounters& counters) {
  if (counters.failed_workers == 0) return {};
  return fmt::format(
      "{} compile worker(s) failed and were replaced; {} program(s) were compiled by this process in "
      "their place. Last reason: {}",
      counters.failed_workers, counters.in_place_of_workers, counters.last_worker_failure);
}

/// About programs that stay in the system's cache.
std::string cache_warning(const Session& session) {
  const AneCounters counters = session.counters();
  if (counters.failed_unloads + counters.failed_purges > 0) {
    return fmt::format(
        "{} program(s) could not be unloaded from the ANE, and {} could not be purged from the system's cache, where "
        "they take disk space until a later run purges them. Last reason: {}",
        counters.failed_unloads, counters.failed_purges, counters.last_failure);
  }
  const EngineMessages& engine = session.frameworks.engine;
  if (!session.options.purge_cached) return {};
  if (!engine.purge) {
    return fmt::format("programs stay in the system's cache, where they take disk space: {}", EngineMessages::kNoPurge);
  }
  if (!engine.can_purge_by_identifier()) {
    return fmt::format("programs of killed runs stay in the system's cache, where they take disk space: {}",
                       EngineMessages::kNoPurgeByIdentifier);
  }
  return {};
}

}  // namespace

struct AneDevice::State {
  State(AneOptions options, const LibraryPaths& paths)
      : session(std::move(options), paths), allocator(session.frameworks), models(session, workers.get()) {}

  /// Purges the programs that dead processes, and the process that this one replaces, left in the daemon's cache.
  void purge_abandoned_programs() {
    const Frameworks& frameworks = session.frameworks;
    const objc::AutoreleasePool pool(frameworks.runtime);
    const auto purge = [&](const std::string& identifier) {
      if (!session.options.purge_cached) return false;  // left to a later device
      return session.purge([&](const EngineMessages& engine) {
        if (!engine.can_purge_by_identifier()) throw DeviceError(std::string(EngineMessages::kNoPurgeByIdentifier));
        const objc::Id client = engine.shared_client(engine.client_type);
        if (client == nullptr) throw DeviceError("+[_ANEClient sharedConnection] returned no client");
        engine.purge_by_identifier(client, frameworks.foundation.string(identifier));
      });
    };
    remove_abandoned_programs(frameworks.foundation.temporary_directory(), purge);
  }

  Session session;
  IoSurfaceAllocator allocator;
  std::unique_ptr<CompileWorkers> workers = session.options.workers.count > 0
                                                ? std::make_unique<CompileWorkers>(session.options.workers,
                                                                                   session.options.qos)
                                                : nullptr;
  LoadedModels models;
};

AneDevice::AneDevice(AneOptions options, const LibraryPaths& paths)
    : state_(std::make_unique<State>(std::move(options), paths)) {
  const Probe& probe = state_->session.frameworks.probe();
  if (!probe.usable()) throw DeviceError(probe.reason());
  state_->purge_abandoned_programs();
}

AneDevice::~AneDevice() = default;

std::string AneDevice::description() const {
  const Probe& probe = state_->session.frameworks.probe();
  std::string text = fmt::format("Apple Neural Engine of {}", probe.chip.empty() ? "an unknown chip" : probe.chip);
  if (probe.cores) text += fmt::format(", {} cores", *probe.cores);
  if (!probe.architecture.empty()) text += fmt::format(", {}", probe.architecture);
  if (!probe.os.empty()) text += fmt::format(", {}", probe.os);
  return text;
}

std::vector<mil::Diagnostic> AneDevice::check(const mil::Program& program) const {
  return broken_rules(program, nullptr, state_->session.frameworks.probe().chip, state_->session.options.rules);
}

std::unique_ptr<Kernel> AneDevice::compile(std::string_view label, std::string_view mil_text,
                                           const mil::Blobs& weights) {
  const mil::Program program = mil::parse(mil_text);
  refuse_broken_rules(program, weights, state_->session);
  for (const auto& [key, bytes] : weights) static_cast<void>(blob_file(key));
  const mil::Function& main = program.main();
  std::vector<Port> inputs = make_ports(main, main.inputs);
  std::vector<Port> outputs = make_ports(main, main.outputs);
  return objc::guarded("compiling a program for the ANE", [&] {
    const objc::AutoreleasePool pool(state_->session.frameworks.runtime);
    std::shared_ptr<LoadedModel> model = state_->models.acquire({label, mil_text, &weights, inputs, outputs});
    return std::make_unique<AneKernel>(std::move(model), std::move(inputs), std::move(outputs));
  });
}

surface::Allocator& AneDevice::surface_allocator() { return state_->allocator; }

int AneDevice::compile_workers() const noexcept { return state_->session.options.workers.count; }

std::int64_t AneDevice::compiled_by_workers() const noexcept { return counters().compiled_by_workers; }

DeviceLimits AneDevice::limits() const noexcept {
  DeviceLimits limits = state_->session.options.limits;
  if (state_->workers) limits.hard_compiles = CompileBudget::kUnlimited;
  return limits;
}

AneCounters AneDevice::counters() const { return state_->session.counters(); }

std::string AneDevice::warning() const {
  std::vector<std::string> warnings = {worker_warning(state_->session.counters()), cache_warning(state_->session)};
  std::erase(warnings, "");
  return fmt::format("{}", fmt::join(warnings, ". "));
}

}  // namespace ane::device::apple
