#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "loaded_model.h"

namespace ane::device::apple {

/// The programs of one device, by the identifier that the framework derives from text and weights. Compilations and
/// unloads of all threads are serialized; a directory is never removed while another program with the same contents is
/// created.
class LoadedModels {
 public:
  /// The session must outlive this, and this must outlive the models.
  explicit LoadedModels(Session& session) : session_(&session) {}

  /// Returns the program of this text and these weights, loading it if necessary. Throws CompileError.
  [[nodiscard]] std::shared_ptr<LoadedModel> acquire(const ModelSource& source);

 private:
  Session* session_;
  std::recursive_mutex mutex_;  // recursive, because a failure may unload
  std::unordered_map<std::string, std::weak_ptr<LoadedModel>> loaded_;
};

}  // namespace ane::device::apple
