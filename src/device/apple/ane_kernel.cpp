#include "ane_kernel.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "io_surface.h"
#include "request.h"

namespace ane::device::apple {

using objc::Id;

namespace {

// Training binds a kernel to one or two sets of surfaces, or to as many for each input with a layer's weights. A
// request keeps its surfaces alive, so the number is small.
constexpr std::ptrdiff_t kMaxRequests = 16;

/// The first input with resident contents.
IoSurfaceRef resident_input(std::span<surface::Surface* const> inputs) {
  for (const surface::Surface* const input : inputs) {
    if (input->memory().resident() == nullptr) continue;
    return dynamic_cast<const IoSurfaceMemory&>(input->memory()).handle();
  }
  return nullptr;
}

constexpr std::string_view kCancelled = "status=0x12";
constexpr std::string_view kTooSmall = "status=0x1d";

/// Checks the IOSurfaces of one side against the ports and collects them in binding order.
void collect(std::string_view side, std::span<const Port> ports, std::span<const std::size_t> order,
             std::span<surface::Surface* const> surfaces, std::vector<IoSurfaceRef>& into) {
  if (surfaces.size() != ports.size()) {
    throw DeviceError(
        fmt::format("the kernel has {} {}s, but {} surfaces were given", ports.size(), side, surfaces.size()));
  }
  for (const std::size_t index : order) {
    const Port& port = ports[index];
    if (surfaces[index] == nullptr || !*surfaces[index]) {
      throw DeviceError(fmt::format("{} '{}' has no surface", side, port.name));
    }
    if (surfaces[index]->size_bytes() < port.size_bytes) {
      throw DeviceError(fmt::format("{} '{}' ({}) needs a surface of {} bytes, but got one of {}", side, port.name,
                                    to_string(port.type), port.size_bytes, surfaces[index]->size_bytes()));
    }
    const auto* const memory = dynamic_cast<const IoSurfaceMemory*>(&surfaces[index]->memory());
    if (memory == nullptr) {
      throw DeviceError(
          fmt::format("{} '{}': the ANE reads IOSurfaces only; use the device's surface_allocator()", side, port.name));
    }
    into.push_back(memory->handle());
  }
}

}  // namespace

AneKernel::AneKernel(std::shared_ptr<LoadedModel> model, std::vector<Port> inputs, std::vector<Port> outputs)
    : model_(std::move(model)),
      inputs_(std::move(inputs)),
      outputs_(std::move(outputs)),
      input_order_(binding_order(inputs_)),
      output_order_(binding_order(outputs_)) {}

AneKernel::~AneKernel() {
  const objc::AutoreleasePool pool(model_->session().frameworks.runtime);
  requests_.clear();  // before the model (ane.md 1.8)
}

void AneKernel::run(std::span<surface::Surface* const> inputs, std::span<surface::Surface* const> outputs) {
  std::vector<IoSurfaceRef> surfaces;
  surfaces.reserve(inputs_.size() + outputs_.size());
  collect("input", inputs_, input_order_, inputs, surfaces);
  collect("output", outputs_, output_order_, outputs, surfaces);
  objc::guarded("running a kernel on the ANE", [&] {
    const objc::AutoreleasePool pool(model_->session().frameworks.runtime);
    evaluate(request_for(std::move(surfaces), resident_input(inputs)));
  });
}

Id AneKernel::request_for(std::vector<IoSurfaceRef> surfaces, IoSurfaceRef resident) {
  const auto found = std::find_if(requests_.begin(), requests_.end(),
                                  [&](const CachedRequest& cached) { return cached.surfaces == surfaces; });
  if (found != requests_.end()) {
    std::rotate(found, found + 1, requests_.end());
  } else {
    const std::span<const IoSurfaceRef> all = surfaces;
    objc::Owned made =
        make_request(model_->session().frameworks, all.first(inputs_.size()), all.subspan(inputs_.size()));
    const auto is_alike = [&](const CachedRequest& cached) { return cached.resident == resident; };
    if (std::count_if(requests_.begin(), requests_.end(), is_alike) == kMaxRequests)
      requests_.erase(std::find_if(requests_.begin(), requests_.end(), is_alike));
    requests_.push_back({std::move(surfaces), resident, std::move(made)});
    model_->session().count([](AneCounters& counters) { ++counters.requests; });
  }
  return requests_.back().request.get();
}

void AneKernel::evaluate(Id request) const {
  Session& session = model_->session();
  const Frameworks& frameworks = session.frameworks;
  const Id no_options = frameworks.foundation.dictionary({});
  for (int retries_left = session.options.cancel_retries;; --retries_left) {
    Id error = nullptr;
    const bool done =
        frameworks.engine.evaluate(model_->model(), session.options.qos, no_options, request, &error) != 0;
    if (done && error == nullptr) return;
    const std::string text = frameworks.foundation.describe(error);
    const bool cancelled = text.find(kCancelled) != std::string::npos;
    if (!cancelled || retries_left <= 0) {
      throw DeviceError(fmt::format("the ANE did not run the kernel{}: {}{}",
                                    cancelled ? fmt::format(", after {} retries", session.options.cancel_retries) : "",
                                    text,
                                    text.find(kTooSmall) == std::string::npos
                                        ? ""
                                        : "; 0x1d means that a surface is smaller than the program expects"));
    }
    session.count([](AneCounters& counters) { ++counters.cancel_retries; });
    std::this_thread::sleep_for(session.options.cancel_wait);
  }
}

}  // namespace ane::device::apple
