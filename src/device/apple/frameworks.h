#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "ane/device/apple/probe.h"

#include "foundation.h"
#include "lookup.h"
#include "objc.h"

namespace ane::device::apple {

struct IoSurfaceRecord;
using IoSurfaceRef = IoSurfaceRecord*;

/// The C functions and constants of IOSurface (ane.md 1.4).
struct IoSurfaceFunctions {
  IoSurfaceFunctions(Lookup& lookup, const objc::Library& library, const objc::Library& core_foundation);

  IoSurfaceRef (*create)(objc::Id properties) = nullptr;  ///< NSDictionary is toll-free bridged to CFDictionary
  std::size_t (*alloc_size)(IoSurfaceRef) = nullptr;
  void* (*base_address)(IoSurfaceRef) = nullptr;
  int (*lock)(IoSurfaceRef, std::uint32_t options, std::uint32_t* seed) = nullptr;
  int (*unlock)(IoSurfaceRef, std::uint32_t options, std::uint32_t* seed) = nullptr;
  void (*release)(const void*) = nullptr;

  objc::Id width = nullptr;
  objc::Id height = nullptr;
  objc::Id bytes_per_element = nullptr;
  objc::Id bytes_per_row = nullptr;
  objc::Id size_bytes = nullptr;
  objc::Id pixel_format = nullptr;
};

/// Classes and messages of the private framework (ane.md 1.1).
struct EngineMessages {
  EngineMessages(Lookup& lookup, const objc::Runtime& runtime, const objc::Library& library);

  objc::Id descriptor_type = nullptr;
  objc::Id model_type = nullptr;
  objc::Id surface_type = nullptr;
  objc::Id request_type = nullptr;
  objc::Id device_info_type = nullptr;
  objc::Id client_type = nullptr;

  using Call = objc::Message<objc::Flag, unsigned, objc::Id, objc::Id*>;
  objc::Message<objc::Id, objc::Id, objc::Id, objc::Id> make_descriptor;
  objc::Message<objc::Id, objc::Id> make_model;
  objc::Message<objc::Id> identifier;
  Call compile;
  Call load;
  objc::Message<objc::Flag, unsigned, objc::Id, objc::Id, objc::Id*> evaluate;
  objc::Message<objc::Flag, unsigned, objc::Id*> unload;
  objc::Message<objc::Id> attributes;   // optional
  objc::Message<void> purge;            // optional
  objc::Message<objc::Flag> is_cached;  // optional
  static constexpr std::string_view kNoPurge = "this system lacks -[_ANEInMemoryModel purgeCompiledModel]";
  objc::Message<objc::Id, IoSurfaceRef> wrap_surface;

  // The request's factory has fewer arguments in some builds; at least one of these exists, usually the first.
  objc::Message<objc::Id, objc::Id, objc::Id, objc::Id, objc::Id, objc::Id, objc::Id, objc::Id> make_request;
  objc::Message<objc::Id, objc::Id, objc::Id, objc::Id, objc::Id, objc::Id, objc::Id> make_request_without_stats;
  objc::Message<objc::Id, objc::Id, objc::Id, objc::Id, objc::Id, objc::Id, objc::Id> make_request_without_weights;
  objc::Message<objc::Id, objc::Id, objc::Id, objc::Id, objc::Id, objc::Id> make_request_short;

  // Programs of dead processes have no model to send a message to; both optional.
  objc::Message<objc::Id> shared_client;
  objc::Message<void, objc::Id> purge_by_identifier;
  [[nodiscard]] bool can_purge_by_identifier() const { return shared_client && purge_by_identifier; }
  static constexpr std::string_view kNoPurgeByIdentifier =
      "this system lacks +[_ANEClient sharedConnection] or -[_ANEClient purgeCompiledModelMatchingHash:]";

  // Information about the machine; all optional.
  objc::Message<objc::Flag> has_ane;
  objc::Message<objc::Flag> is_virtual_machine;
  objc::Message<unsigned> core_count;
  objc::Message<objc::Id> architecture;
};

/// Everything that the bridge looks up at run time, checked once.
class Frameworks {
 public:
  /// Never throws for missing parts: see `probe`. Use the rest only if probe().usable().
  explicit Frameworks(const LibraryPaths& paths);
  Frameworks(const Frameworks&) = delete;
  Frameworks& operator=(const Frameworks&) = delete;

  [[nodiscard]] const Probe& probe() const noexcept { return probe_; }

 private:
  // Before the public members, which are initialized with it.
  Lookup lookup_;
  objc::Library system_library_;
  objc::Library objc_library_;
  objc::Library foundation_library_;
  objc::Library core_foundation_library_;
  objc::Library io_surface_library_;
  objc::Library engine_library_;

 public:
  const objc::Runtime runtime;
  const Foundation foundation;
  const IoSurfaceFunctions io_surface;
  const EngineMessages engine;

 private:
  Probe probe_;
};

}  // namespace ane::device::apple
