#include "frameworks.h"

#include <utility>

#include <fmt/format.h>

#include "system_info.h"

namespace ane::device::apple {

using objc::Id;

IoSurfaceFunctions::IoSurfaceFunctions(Lookup& lookup, const objc::Library& library,
                                       const objc::Library& core_foundation) {
  lookup.function(create, library, "IOSurfaceCreate");
  lookup.function(alloc_size, library, "IOSurfaceGetAllocSize");
  lookup.function(base_address, library, "IOSurfaceGetBaseAddress");
  lookup.function(lock, library, "IOSurfaceLock");
  lookup.function(unlock, library, "IOSurfaceUnlock");
  lookup.function(release, core_foundation, "CFRelease");
  lookup.constant(width, library, "kIOSurfaceWidth");
  lookup.constant(height, library, "kIOSurfaceHeight");
  lookup.constant(bytes_per_element, library, "kIOSurfaceBytesPerElement");
  lookup.constant(bytes_per_row, library, "kIOSurfaceBytesPerRow");
  lookup.constant(size_bytes, library, "kIOSurfaceAllocSize");
  lookup.constant(pixel_format, library, "kIOSurfacePixelFormat");
}

EngineMessages::EngineMessages(Lookup& lookup, const objc::Runtime& runtime, const objc::Library& library) {
  const auto type = [&](const char* name, Need need = Need::required) {
    return lookup.type(runtime, library, name, need);
  };
  descriptor_type = type("_ANEInMemoryModelDescriptor");
  model_type = type("_ANEInMemoryModel");
  surface_type = type("_ANEIOSurfaceObject");
  request_type = type("_ANERequest");
  device_info_type = type("_ANEDeviceInfo", Need::optional);
  client_type = type("_ANEClient", Need::optional);

  lookup.class_method(make_descriptor, runtime, descriptor_type, "modelWithMILText:weights:optionsPlist:");
  lookup.class_method(make_model, runtime, model_type, "inMemoryModelWithDescriptor:");
  lookup.method(identifier, runtime, model_type, "hexStringIdentifier");
  lookup.method(compile, runtime, model_type, "compileWithQoS:options:error:");
  lookup.method(load, runtime, model_type, "loadWithQoS:options:error:");
  lookup.method(evaluate, runtime, model_type, "evaluateWithQoS:options:request:error:");
  lookup.method(unload, runtime, model_type, "unloadWithQoS:error:");
  lookup.method(attributes, runtime, model_type, "modelAttributes", Need::optional);
  lookup.method(is_cached, runtime, model_type, "compiledModelExists", Need::optional);
  lookup.method(purge, runtime, model_type, "purgeCompiledModel", Need::optional);
  lookup.class_method(shared_client, runtime, client_type, "sharedConnection", Need::optional);
  lookup.method(purge_by_identifier, runtime, client_type, "purgeCompiledModelMatchingHash:", Need::optional);
  lookup.class_method(wrap_surface, runtime, surface_type, "objectWithIOSurface:");

  lookup.class_method(make_request_short, runtime, request_type,
                      "requestWithInputs:inputIndices:outputs:outputIndices:procedureIndex:", Need::optional);
  lookup.class_method(make_request_without_weights, runtime, request_type,
                      "requestWithInputs:inputIndices:outputs:outputIndices:perfStats:procedureIndex:", Need::optional);
  lookup.class_method(
      make_request_without_stats, runtime, request_type,
      "requestWithInputs:inputIndices:outputs:outputIndices:weightsBuffer:procedureIndex:", Need::optional);
  const bool has_other = make_request_short || make_request_without_weights || make_request_without_stats;
  lookup.class_method(make_request, runtime, request_type,
                      "requestWithInputs:inputIndices:outputs:outputIndices:weightsBuffer:perfStats:procedureIndex:",
                      has_other ? Need::optional : Need::required);

  lookup.class_method(has_ane, runtime, device_info_type, "hasANE", Need::optional);
  lookup.class_method(is_virtual_machine, runtime, device_info_type, "isVirtualMachine", Need::optional);
  lookup.class_method(core_count, runtime, device_info_type, "numANECores", Need::optional);
  lookup.class_method(architecture, runtime, device_info_type, "aneArchitectureType", Need::optional);
}

Frameworks::Frameworks(const LibraryPaths& paths)
    : lookup_(paths),
      system_library_(lookup_.library(paths.system)),
      objc_library_(lookup_.library(paths.objc)),
      foundation_library_(lookup_.library(paths.foundation)),
      core_foundation_library_(lookup_.library(paths.core_foundation)),
      io_surface_library_(lookup_.library(paths.io_surface)),
      engine_library_(lookup_.library(paths.neural_engine)),
      runtime(lookup_.runtime(objc_library_)),
      foundation(lookup_, runtime, foundation_library_),
      io_surface(lookup_, io_surface_library_, core_foundation_library_),
      engine(lookup_, runtime, engine_library_) {
  const SystemInfo system = system_info(lookup_, system_library_);
  probe_.chip = system.chip;
  probe_.os = system.os;
  probe_.findings = std::move(lookup_.findings());
  if (!probe_.usable()) return;

  objc::observe_exceptions(runtime);
  const objc::AutoreleasePool pool(runtime);
  const Id info = engine.device_info_type;
  if (engine.has_ane) probe_.has_ane = engine.has_ane(info) != 0;
  if (engine.is_virtual_machine) probe_.virtual_machine = engine.is_virtual_machine(info) != 0;
  if (engine.core_count) probe_.cores = engine.core_count(info);
  if (engine.architecture) probe_.architecture = foundation.text(engine.architecture(info)).value_or("");
}

}  // namespace ane::device::apple
