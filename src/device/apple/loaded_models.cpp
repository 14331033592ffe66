#include "loaded_models.h"

#include <utility>

namespace ane::device::apple {

std::shared_ptr<LoadedModel> LoadedModels::acquire(const ModelSource& source) {
  std::unique_lock lock(mutex_);
  UncompiledModel uncompiled = make_model(*session_, source);
  const std::string identifier = uncompiled.identifier;
  if (std::shared_ptr<LoadedModel> live = find(identifier)) return live;
  const auto remove = [this](LoadedModel* model) {
    const std::scoped_lock unload_lock(mutex_);
    std::default_delete<LoadedModel>()(model);
  };
  std::shared_ptr<LoadedModel> made(new LoadedModel(*session_, std::move(uncompiled), source), remove);
  bool is_compiled = false;
  if (workers_ != nullptr) {
    lock.unlock();
    is_compiled = made->compile_in_worker(*workers_, source);
    lock.lock();
    if (std::shared_ptr<LoadedModel> live = find(identifier)) return live;  // of another thread
  }
  if (!is_compiled) made->compile(source);
  made->load(source);
  loaded_[identifier] = made;
  return made;
}

std::shared_ptr<LoadedModel> LoadedModels::find(const std::string& identifier) {
  std::erase_if(loaded_, [](const auto& entry) { return entry.second.expired(); });
  const auto found = loaded_.find(identifier);
  std::shared_ptr<LoadedModel> live = found == loaded_.end() ? nullptr : found->second.lock();
  if (live) session_->count([](AneCounters& counters) { ++counters.shared; });
  return live;
}

}  // namespace ane::device::apple
