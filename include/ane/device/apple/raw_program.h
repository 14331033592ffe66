#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ane/device/apple/library_paths.h"
#include "ane/device/apple/probe.h"
#include "ane/surface/surface.h"

/// The framework's calls one by one, without retries, rules or checks, to find out how this machine answers them.
/// Everything else should use AneDevice.
namespace ane::device::apple {

/// What the framework answered.
struct Answer {
  std::string error;  ///< empty if it reported success
  std::chrono::nanoseconds time{0};
  [[nodiscard]] bool ok() const noexcept { return error.empty(); }
};

class RawEngine {
 public:
  /// Throws DeviceError like AneDevice. Purges nothing, so programs of earlier processes stay in the daemon's cache.
  explicit RawEngine(const LibraryPaths& paths = standard_libraries());
  ~RawEngine();
  RawEngine(const RawEngine&) = delete;
  RawEngine& operator=(const RawEngine&) = delete;

  [[nodiscard]] const Probe& probe() const;
  /// A surface of exactly this size. Throws DeviceError.
  [[nodiscard]] std::unique_ptr<surface::Memory> surface(std::size_t size_bytes);

 private:
  friend class RawProgram;
  struct State;
  std::unique_ptr<State> state_;
};

/// A program without weights. Its members throw DeviceError if the framework raises an exception. `engine` must outlive
/// it.
class RawProgram {
 public:
  /// Throws DeviceError if the framework creates no model for the text.
  RawProgram(RawEngine& engine, std::string mil_text);
  /// Unloads the program, and purges it from the daemon's cache unless leave_cached() was called.
  ~RawProgram();
  RawProgram(const RawProgram&) = delete;
  RawProgram& operator=(const RawProgram&) = delete;

  /// Whether the daemon has the compiled program; nullopt if this system cannot tell.
  [[nodiscard]] std::optional<bool> is_cached() const;
  [[nodiscard]] Answer compile();
  [[nodiscard]] Answer load();
  /// Surfaces in binding order, none of them locked.
  [[nodiscard]] Answer evaluate(std::span<surface::Memory* const> inputs, std::span<surface::Memory* const> outputs);
  [[nodiscard]] Answer unload();
  /// Leaves the compiled program in the daemon's cache, for a later process or until the next AneDevice purges it.
  void leave_cached() noexcept;
  /// The names of the inputs in the order in which the loaded program says that they bind; empty if it does not say.
  [[nodiscard]] std::vector<std::string> input_symbols() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ane::device::apple
