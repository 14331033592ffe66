#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "loaded_model.h"

namespace ane::device::apple {

/// The programs of one device, by the identifier that the framework derives from text and weights. Compilations and
/// unloads take turns, from whichever thread; a directory is never removed while another program of the same content
/// moves in.
class LoadedModels {
 public:
  /// The session must outlive this, and this the models.
  explicit LoadedModels(Session& session) : session_(&session) {}

  /// The program of this text and these weights, loaded now unless it is there. Throws CompileError.
  [[nodiscard]] std::shared_ptr<LoadedModel> acquire(const ModelSource& source);

 private:
  Session* session_;
  std::recursive_mutex mutex_;  // recursive, because a failure may unload
  std::unordered_map<std::string, std::weak_ptr<LoadedModel>> loaded_;
};

}  // namespace ane::device::apple
