#include "request.h"

#include <vector>

#include "ane/core/error.h"

namespace ane::device::apple {

using objc::Id;

namespace {

struct BoundSurfaces {
  Id surfaces;
  Id indices;
};

BoundSurfaces bind_in_order(const Frameworks& frameworks, std::span<const IoSurfaceRef> side) {
  const EngineMessages& engine = frameworks.engine;
  std::vector<Id> objects;
  std::vector<Id> indices;
  for (IoSurfaceRecord* const surface : side) {
    const Id object = engine.wrap_surface(engine.surface_type, surface);
    if (object == nullptr) throw DeviceError("the framework does not accept a surface as _ANEIOSurfaceObject");
    indices.push_back(frameworks.foundation.number(objects.size()));
    objects.push_back(object);
  }
  return {frameworks.foundation.array(objects), frameworks.foundation.array(indices)};
}

}  // namespace

objc::Owned make_request(const Frameworks& frameworks, std::span<const IoSurfaceRef> inputs,
                         std::span<const IoSurfaceRef> outputs) {
  const EngineMessages& engine = frameworks.engine;
  const BoundSurfaces in = bind_in_order(frameworks, inputs);
  const BoundSurfaces out = bind_in_order(frameworks, outputs);
  const Id procedure = frameworks.foundation.number(0);
  const Id type = engine.request_type;
  const Id request = [&] {
    if (engine.make_request) {
      return engine.make_request(type, in.surfaces, in.indices, out.surfaces, out.indices, nullptr, nullptr, procedure);
    }
    if (engine.make_request_without_stats) {
      return engine.make_request_without_stats(type, in.surfaces, in.indices, out.surfaces, out.indices, nullptr,
                                               procedure);
    }
    if (engine.make_request_without_weights) {
      return engine.make_request_without_weights(type, in.surfaces, in.indices, out.surfaces, out.indices, nullptr,
                                                 procedure);
    }
    return engine.make_request_short(type, in.surfaces, in.indices, out.surfaces, out.indices, procedure);
  }();
  if (request == nullptr) throw DeviceError("the framework created no request for the kernel's surfaces");
  return objc::retained(frameworks.runtime, request);
}

}  // namespace ane::device::apple
