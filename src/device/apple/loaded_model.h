#pragma once

#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ane/device/apple/ane_device.h"

#include "attributes.h"
#include "compile_workers.h"
#include "frameworks.h"
#include "model_directory.h"

namespace ane::device::apple {

/// Shared by the kernels of one device. Must outlive them.
struct Session {
  Session(AneOptions chosen, const LibraryPaths& paths) : options(std::move(chosen)), frameworks(paths) {}

  const AneOptions options;
  const Frameworks frameworks;

  template <class Change>
  void count(Change&& change) noexcept {
    const std::scoped_lock lock(mutex_);
    change(counters_);
  }
  [[nodiscard]] AneCounters counters() const {
    const std::scoped_lock lock(mutex_);
    return counters_;
  }
  /// Records failures where nothing can be thrown.
  void count_failure(int AneCounters::*kind, std::string reason) noexcept {
    count([&](AneCounters& counters) {
      ++(counters.*kind);
      counters.last_failure = std::move(reason);
    });
  }
  void count_worker_failure(std::string reason) noexcept {
    count([&](AneCounters& counters) {
      ++counters.failed_workers;
      counters.last_worker_failure = std::move(reason);
    });
  }
  /// Calls `drop` to purge a program from the daemon's cache. Returns false if it throws, which is counted.
  template <class Drop>
  [[nodiscard]] bool purge(Drop&& drop) noexcept try {
    objc::guarded("purging a program from the system's cache", [&] { drop(frameworks.engine); });
    count([](AneCounters& counters) { ++counters.purges; });
    return true;
  } catch (const std::exception& error) {
    count_failure(&AneCounters::failed_purges, error.what());
    return false;
  }

 private:
  mutable std::mutex mutex_;
  AneCounters counters_;
};

/// Text, weights and ports of a program to compile.
struct ModelSource {
  std::string_view label;  ///< for messages
  std::string_view mil_text;
  const mil::Blobs* weights;
  std::span<const Port> inputs;
  std::span<const Port> outputs;
};

/// An _ANEInMemoryModel before it is compiled.
struct UncompiledModel {
  objc::Owned model;
  std::string identifier;
};
/// Throws CompileError. Needs an autorelease pool around it, as everything here does.
[[nodiscard]] UncompiledModel make_model(Session& session, const ModelSource& source);

/// Calls the compiler. Returns its error, or nullopt on success.
[[nodiscard]] std::optional<std::string> compile_model(Session& session, objc::Id model);

/// Where the compiler reads the program of that identifier.
[[nodiscard]] std::filesystem::path program_directory(const Session& session, const std::string& identifier);

/// Purges a program from the daemon's cache unless another process uses it. If that fails, its record stays for a later
/// process.
void purge_program(Session& session, ModelDirectory& directory, objc::Id model) noexcept;

/// A program in the ANE's memory, with its weights baked in. Destruction unloads it and, unless another process uses it
/// too, purges it from the daemon's cache and removes its directory. If it cannot be purged, its record stays for a
/// later process.
class LoadedModel {
 public:
  /// Claims the program and writes its files. Throws DeviceError.
  LoadedModel(Session& session, UncompiledModel uncompiled, const ModelSource& source);
  ~LoadedModel();
  LoadedModel(const LoadedModel&) = delete;
  LoadedModel& operator=(const LoadedModel&) = delete;

  /// Lets a worker compile the program, and another one if that fails. Returns false if this process should compile
  /// it. Throws CompileError with the compiler's message, CompileStopped.
  [[nodiscard]] bool compile_in_worker(CompileWorkers& workers, const ModelSource& source);
  /// Throws CompileError with the compiler's message.
  void compile(const ModelSource& source);
  /// Loads the compiled program. Throws CompileError with the framework's message.
  void load(const ModelSource& source);

  [[nodiscard]] objc::Id model() const noexcept { return model_.get(); }
  [[nodiscard]] Session& session() const noexcept { return *session_; }

 private:
  /// Returns the compiler's error, or nullopt on success.
  [[nodiscard]] std::optional<std::string> try_compile();
  [[nodiscard]] std::optional<WorkerFault> try_compile_in_worker(CompileWorkers& workers, WorkerAge age);
  void try_load();
  void unload() noexcept;
  void purge() noexcept;
  void compare_attributes(const ModelSource& source);

  Session* session_;
  ModelDirectory directory_;  // destroyed last
  objc::Owned model_;
  bool may_need_unload_ = false;
  bool loaded_ = false;
};

}  // namespace ane::device::apple
