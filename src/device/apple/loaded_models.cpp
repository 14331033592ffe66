#include "loaded_models.h"

#include <utility>

namespace ane::device::apple {

std::shared_ptr<LoadedModel> LoadedModels::acquire(const ModelSource& source) {
  const std::scoped_lock lock(mutex_);
  UncompiledModel uncompiled = make_model(*session_, source);
  std::weak_ptr<LoadedModel>& slot = loaded_[uncompiled.identifier];
  if (std::shared_ptr<LoadedModel> live = slot.lock()) {
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

}  // namespace ane::device::apple
