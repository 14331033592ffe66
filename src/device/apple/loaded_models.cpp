#include "loaded_models.h"

#include <utility>

#include <fmt/format.h>

namespace ane::device::apple {

std::shared_ptr<LoadedModel> LoadedModels::acquire(const ModelSource& source) {
  const std::scoped_lock lock(mutex_);
  UncompiledModel uncompiled = make_model(*session_, source);
  std::weak_ptr<LoadedModel>& slot = loaded_[uncompiled.identifier];
  if (std::shared_ptr<LoadedModel> live = slot.lock()) {
    if (!live->is_made_of(source)) {
      throw CompileError(
          fmt::format("a program that is loaded has this one's identifier ({}), and so the directory that this one "
                      "needs, but {}; destroy its kernels first",
                      uncompiled.identifier,
                      live->was_reloaded() ? "other weights since it was reloaded"
                                           : "other text or weights, or its files were changed"));
    }
    session_->count([](AneCounters& counters) { ++counters.shared; });
    return live;
  }
  std::erase_if(loaded_, [&](const auto& entry) { return &entry.second != &slot && entry.second.expired(); });
  auto made = std::make_unique<LoadedModel>(*session_, std::move(uncompiled), source);
  const auto remove = [this](LoadedModel* model) {
    const std::scoped_lock unload_lock(mutex_);
    std::default_delete<LoadedModel>()(model);
  };
  std::shared_ptr<LoadedModel> shared(made.release(), remove);
  slot = shared;
  return shared;
}

bool LoadedModels::reload(const std::shared_ptr<LoadedModel>& model, const mil::Blobs& weights) {
  const std::scoped_lock lock(mutex_);
  if (model.use_count() != 1) return false;
  return model->reload(weights);
}

}  // namespace ane::device::apple
