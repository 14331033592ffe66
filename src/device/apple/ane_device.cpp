#include "ane/device/apple/ane_device.h"

#include <utility>
#include <vector>

#include <fmt/format.h>

#include "ane/mil/text.h"

#include "ane_kernel.h"
#include "broken_rules.h"
#include "io_surface.h"
#include "loaded_models.h"

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

/// Throws if `program` breaks a rule that makes it fail or lie.
void refuse_broken_rules(const mil::Program& program, const mil::Blobs& weights, std::string_view chip) {
  std::string text;
  int count = 0;
  for (const mil::Diagnostic& diagnostic : broken_rules(program, &weights, chip)) {
    if (!mil::is_fault(diagnostic.severity)) continue;
    text += "\n  " + to_string(diagnostic);
    ++count;
  }
  if (count > 0) throw CompileError(fmt::format("the program breaks {} rule(s) of the ANE:{}", count, text));
}

}  // namespace

struct AneDevice::State {
  State(AneOptions options, const LibraryPaths& paths)
      : session(std::move(options), paths), allocator(session.frameworks), models(session) {}

  /// Drops what dead processes, and the process that this one replaces, left in the daemon's cache.
  void purge_abandoned_programs() {
    const Frameworks& frameworks = session.frameworks;
    const objc::AutoreleasePool pool(frameworks.runtime);
    const auto purge = [&](const std::string& identifier) {
      if (!session.options.purge_cached || !frameworks.engine.shared_client || !frameworks.engine.purge_by_identifier)
        return;
      try {
        objc::guarded("dropping an abandoned program from the system's cache", [&] {
          const objc::Id client = frameworks.engine.shared_client(frameworks.engine.client_type);
          if (client == nullptr) throw DeviceError("the framework has no client to drop abandoned programs with");
          frameworks.engine.purge_by_identifier(client, frameworks.foundation.string(identifier));
        });
        session.count([](AneCounters& counters) { ++counters.purges; });
      } catch (const std::exception& error) {
        session.count_failed_unload(error.what());
      }
    };
    remove_abandoned_programs(frameworks.foundation.temporary_directory(), purge);
  }

  Session session;
  IoSurfaceAllocator allocator;
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
  return broken_rules(program, nullptr, state_->session.frameworks.probe().chip);
}

std::unique_ptr<Kernel> AneDevice::compile(std::string_view mil_text, const mil::Blobs& weights) {
  const mil::Program program = mil::parse(mil_text);
  refuse_broken_rules(program, weights, state_->session.frameworks.probe().chip);
  for (const auto& [key, bytes] : weights) static_cast<void>(blob_file(key));
  const mil::Function& main = program.main();
  std::vector<Port> inputs = make_ports(main, main.inputs);
  std::vector<Port> outputs = make_ports(main, main.outputs);
  return objc::guarded("compiling a program for the ANE", [&] {
    const objc::AutoreleasePool pool(state_->session.frameworks.runtime);
    std::shared_ptr<LoadedModel> model = state_->models.acquire({mil_text, &weights, inputs, outputs});
    return std::make_unique<AneKernel>(std::move(model), std::move(inputs), std::move(outputs));
  });
}

surface::Allocator& AneDevice::surface_allocator() { return state_->allocator; }

AneCounters AneDevice::counters() const { return state_->session.counters(); }

}  // namespace ane::device::apple
