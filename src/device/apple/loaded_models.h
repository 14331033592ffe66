#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "loaded_model.h"

namespace ane::device::apple {

/// The programs of one device, by the identifier that the framework derives from text and weights. Compilations of this
/// process and unloads of all threads are serialized; a directory is never removed while another program with the same
/// contents is created, unless workers compile, which then begin anew.
class LoadedModels {
 public:
  /// The session and the workers, which may be null, must outlive this, and this must outlive the models.
  LoadedModels(Session& session, CompileWorkers* workers) : session_(&session), workers_(workers) {}

  /// Returns the program of this text and these weights, loading it if necessary. Throws CompileError, CompileStopped.
  [[nodiscard]] std::shared_ptr<LoadedModel> acquire(const ModelSource& source);

 private:
  [[nodiscard]] std::shared_ptr<LoadedModel> find(const std::string& identifier);

  Session* session_;
  CompileWorkers* workers_;
  std::recursive_mutex mutex_;  // recursive, because a failure may unload
  std::unordered_map<std::string, std::weak_ptr<LoadedModel>> loaded_;
};

}  // namespace ane::device::apple
