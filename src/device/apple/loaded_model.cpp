#include "loaded_model.h"

#include <array>
#include <exception>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "ane/device/budget.h"

namespace ane::device::apple {

using objc::Id;

namespace {

/// { "@model_path/weights/w.bin": { "data": whole file } }; empty if there are none, never nil. One entry each, because
/// the framework uses the first one whatever its key (ane.md L3, L4).
Id weights_dictionary(const Session& session, const mil::Blobs& weights) {
  const Foundation& foundation = session.frameworks.foundation;
  std::vector<std::pair<Id, Id>> entries;
  for (const auto& [key, bytes] : weights) {
    const std::array<std::pair<Id, Id>, 1> entry{{{foundation.string("data"), foundation.data(bytes)}}};
    entries.emplace_back(foundation.string(key), foundation.dictionary(entry));
  }
  return foundation.dictionary(entries);
}

Id load_options(const Session& session) {
  const Foundation& foundation = session.frameworks.foundation;
  std::vector<std::pair<Id, Id>> entries;
  for (const auto& [key, value] : session.options.load_options) {
    entries.emplace_back(foundation.string(key), foundation.number(value ? 1 : 0));
  }
  return foundation.dictionary(entries);
}

}  // namespace

std::optional<std::string> compile_model(Session& session, Id model) {
  const Frameworks& frameworks = session.frameworks;
  Id error = nullptr;
  const Id no_options = frameworks.foundation.dictionary({});
  if (frameworks.engine.compile(model, session.options.qos, no_options, &error) != 0 && error == nullptr)
    return std::nullopt;
  return fmt::format("the ANE's compiler refused the program: {}", frameworks.foundation.describe(error));
}

std::filesystem::path program_directory(const Session& session, const std::string& identifier) {
  return std::filesystem::path(session.frameworks.foundation.temporary_directory()) / identifier;
}

void purge_program(Session& session, ModelDirectory& directory, Id model) noexcept {
  if (!directory.take_over()) return;
  const bool is_gone = session.purge([&](const EngineMessages& engine) {
    if (!engine.purge) throw DeviceError(std::string(EngineMessages::kNoPurge));
    engine.purge(model);
  });
  if (!is_gone) directory.keep_record();
}

UncompiledModel make_model(Session& session, const ModelSource& source) {
  const Frameworks& frameworks = session.frameworks;
  const EngineMessages& engine = frameworks.engine;
  const Id text = frameworks.foundation.data(std::as_bytes(std::span(source.mil_text)));
  const Id weights = weights_dictionary(session, *source.weights);
  const Id descriptor = engine.make_descriptor(engine.descriptor_type, text, weights, nullptr);
  if (descriptor == nullptr) {
    throw CompileError(fmt::format("the framework created no descriptor for {} bytes of MIL text and {} blob files",
                                   source.mil_text.size(), source.weights->size()));
  }
  UncompiledModel made;
  made.model = objc::retained(frameworks.runtime, engine.make_model(engine.model_type, descriptor));
  if (made.model == nullptr) throw CompileError("the framework created no model for the descriptor");
  made.identifier = frameworks.foundation.text(engine.identifier(made.model.get())).value_or("");
  if (made.identifier.empty() || made.identifier.find('/') != std::string::npos) {
    throw CompileError(
        fmt::format("the framework names the program '{}', which is not a valid directory name", made.identifier));
  }
  return made;
}

LoadedModel::LoadedModel(Session& session, UncompiledModel uncompiled, const ModelSource& source)
    : session_(&session),
      directory_(program_directory(session, uncompiled.identifier), source.mil_text, *source.weights),
      model_(std::move(uncompiled.model)) {}

LoadedModel::~LoadedModel() {
  const objc::AutoreleasePool pool(session_->frameworks.runtime);
  unload();
  purge();
  model_.reset();
}

void LoadedModel::compile(const ModelSource& source) {
  may_need_unload_ = true;
  std::optional<std::string> refusal = try_compile();
  // Another process with the same program may have unloaded it, which deletes the directory (ane.md L9).
  if (refusal && directory_.restore(source.mil_text, *source.weights)) {
    model_ = make_model(*session_, source).model;
    refusal = try_compile();
  }
  if (refusal) throw CompileError(*refusal);
}

bool LoadedModel::compile_in_worker(CompileWorkers& workers, const ModelSource& source) {
  constexpr int kAttempts = 2;
  WorkerFault fault;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    // Another process may have deleted the directory, as in compile().
    if (attempt > 0) static_cast<void>(directory_.restore(source.mil_text, *source.weights));
    // A fresh worker, because others may soon fail like the first one.
    std::optional<WorkerFault> found = try_compile_in_worker(workers, attempt > 0 ? WorkerAge::fresh : WorkerAge::any);
    if (!found) {
      session_->count([](AneCounters& counters) { ++counters.compiled_by_workers; });
      return true;
    }
    fault = *std::move(found);
    session_->count_worker_failure(fmt::format("a worker that compiled {} failed: {}", source.label, fault.reason));
  }
  if (fault.is_refusal) throw CompileError(fault.reason);
  const int most = session_->options.workers.compiles;
  if (session_->counters().compiles >= most)
    throw CompileError(
        fmt::format("{} workers in a row that compiled {} failed, and in their place this process has "
                    "already compiled the {} programs that it may; the last worker: {}",
                    kAttempts, source.label, most, fault.reason));
  session_->count([](AneCounters& counters) { ++counters.in_place_of_workers; });
  return false;
}

std::optional<WorkerFault> LoadedModel::try_compile_in_worker(CompileWorkers& workers, WorkerAge age) {
  std::optional<WorkerFault> fault = workers.compile(directory_.path().filename().string(), age);
  const EngineMessages& engine = session_->frameworks.engine;
  if (!fault && engine.is_cached && engine.is_cached(model_.get()) == 0)
    fault = WorkerFault{"the system's cache does not contain the program that it compiled"};
  return fault;
}

std::optional<std::string> LoadedModel::try_compile() {
  int compiles = 0;
  session_->count([&](AneCounters& counters) { compiles = ++counters.compiles; });
  std::optional<std::string> message = compile_model(*session_, model_.get());
  if (!message) return std::nullopt;
  if (const int limit = session_->options.limits.hard_compiles; compiles > limit) {
    *message += fmt::format(
        "; it was compilation {} of this process, and after about {} all fail: set ANE_MAX_COMPILES "
        "(--max-compiles) to {} or less",
        compiles, limit, session_->options.limits.measured_compiles.value_or(CompileBudget::kDefault));
  }
  return message;
}

void LoadedModel::load(const ModelSource& source) {
  try_load();
  if (session_->options.compare_attributes) compare_attributes(source);
}

void LoadedModel::try_load() {
  may_need_unload_ = true;
  const EngineMessages& engine = session_->frameworks.engine;
  const AneOptions& options = session_->options;
  const Id load_keys = load_options(*session_);
  for (int retries_left = options.load_retries;; --retries_left) {
    Id error = nullptr;
    loaded_ = engine.load(model_.get(), options.qos, load_keys, &error) != 0;
    if (loaded_ && error == nullptr) return;
    if (retries_left <= 0) {
      throw CompileError(fmt::format(
          "the ANE compiled the program but did not load it: {}. Status 0x50004 means that too many programs are "
          "loaded, 0x20004 that this one's weights are too large",
          session_->frameworks.foundation.describe(error)));
    }
    session_->count([](AneCounters& counters) { ++counters.load_retries; });
    std::this_thread::sleep_for(options.load_wait);
  }
}

// Also after a refused compile or load, which may leave something behind. Only then may the unload fail, too.
void LoadedModel::unload() noexcept {
  if (!may_need_unload_) return;
  const bool was_loaded = std::exchange(loaded_, false);
  try {
    objc::guarded("unloading a program", [&] {
      Id error = nullptr;
      const bool done = session_->frameworks.engine.unload(model_.get(), session_->options.qos, &error) != 0;
      if (!done && was_loaded) {
        session_->count_failure(&AneCounters::failed_unloads, session_->frameworks.foundation.describe(error));
      }
    });
  } catch (const std::exception& error) {
    session_->count_failure(&AneCounters::failed_unloads, error.what());
  }
}

void LoadedModel::purge() noexcept {
  if (session_->options.purge_cached) purge_program(*session_, directory_, model_.get());
}

void LoadedModel::compare_attributes(const ModelSource& source) {
  const Frameworks& frameworks = session_->frameworks;
  if (!frameworks.engine.attributes) return;
  const std::vector<std::string> found =
      differences(frameworks.foundation, frameworks.engine.attributes(model_.get()), source.inputs, source.outputs);
  if (found.empty()) return;
  const std::string text = fmt::format(
      "the compiled program expects other surfaces than those to be bound, so its results would be wrong: {}",
      fmt::join(found, "; "));
  if (!session_->options.on_difference) throw CompileError(text);
  session_->options.on_difference(text);
}

}  // namespace ane::device::apple
