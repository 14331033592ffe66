#include "ane/device/apple/raw_program.h"

#include <array>
#include <exception>
#include <filesystem>
#include <utility>

#include "ane/core/error.h"

#include "io_surface.h"
#include "loaded_model.h"
#include "request.h"

namespace ane::device::apple {

namespace {

std::vector<IoSurfaceRef> handles_of(std::span<surface::Memory* const> side) {
  std::vector<IoSurfaceRef> handles;
  for (const surface::Memory* const memory : side)
    handles.push_back(dynamic_cast<const IoSurfaceMemory&>(*memory).handle());
  return handles;
}

}  // namespace

struct RawEngine::State {
  explicit State(const LibraryPaths& paths) : session({}, paths) {}
  Session session;
};

RawEngine::RawEngine(const LibraryPaths& paths) : state_(std::make_unique<State>(paths)) {
  if (!probe().usable()) throw DeviceError(probe().reason());
}

RawEngine::~RawEngine() = default;

const Probe& RawEngine::probe() const { return state_->session.frameworks.probe(); }

std::unique_ptr<surface::Memory> RawEngine::surface(std::size_t size_bytes) {
  return create_io_surface(state_->session.frameworks, size_bytes, size_bytes);
}

struct RawProgram::State {
  State(Session& of_engine, std::string mil_text, UncompiledModel made)
      : session(of_engine),
        text(std::move(mil_text)),
        model(std::move(made.model)),
        directory(program_directory(session, made.identifier), text, {}) {}

  /// Sends `message` with QoS and `arguments`, and describes the answer.
  template <class Message, class... Arguments>
  Answer ask(std::string_view doing, const Message& message, Arguments... arguments) const {
    return objc::guarded(doing, [&] {
      const objc::AutoreleasePool pool(session.frameworks.runtime);
      objc::Id error = nullptr;
      const auto begin = std::chrono::steady_clock::now();
      const bool done = message(model.get(), session.options.qos, arguments..., &error) != 0;
      Answer answer;
      answer.time = std::chrono::steady_clock::now() - begin;
      if (!done || error != nullptr) answer.error = session.frameworks.foundation.describe(error);
      return answer;
    });
  }
  [[nodiscard]] objc::Id no_options() const { return session.frameworks.foundation.dictionary({}); }

  Session& session;
  std::string text;
  objc::Owned model;
  ModelDirectory directory;
  bool is_loaded = false;
  bool stays_cached = false;
};

RawProgram::RawProgram(RawEngine& engine, std::string mil_text) {
  Session& session = engine.state_->session;
  const objc::AutoreleasePool pool(session.frameworks.runtime);
  const mil::Blobs no_weights;
  UncompiledModel made = objc::guarded("creating a program", [&] {
    return make_model(session,
                      {.label = {}, .mil_text = mil_text, .weights = &no_weights, .inputs = {}, .outputs = {}});
  });
  state_ = std::make_unique<State>(session, std::move(mil_text), std::move(made));
}

RawProgram::~RawProgram() {
  const objc::AutoreleasePool pool(state_->session.frameworks.runtime);
  try {
    if (state_->is_loaded) static_cast<void>(unload());
  } catch (const std::exception&) {  // the process ends soon, and with it the program
  }
  if (state_->stays_cached)
    state_->directory.keep_record();
  else
    purge_program(state_->session, state_->directory, state_->model.get());
  state_->model.reset();
}

std::optional<bool> RawProgram::is_cached() const {
  const EngineMessages& engine = state_->session.frameworks.engine;
  if (!engine.is_cached) return std::nullopt;
  return objc::guarded("asking for a compiled program", [&] { return engine.is_cached(state_->model.get()) != 0; });
}

Answer RawProgram::compile() {
  const objc::AutoreleasePool pool(state_->session.frameworks.runtime);
  return state_->ask("compiling a program", state_->session.frameworks.engine.compile, state_->no_options());
}

Answer RawProgram::load() {
  const objc::AutoreleasePool pool(state_->session.frameworks.runtime);
  Answer answer = state_->ask("loading a program", state_->session.frameworks.engine.load, state_->no_options());
  state_->is_loaded = answer.ok();
  return answer;
}

Answer RawProgram::evaluate(std::span<surface::Memory* const> inputs, std::span<surface::Memory* const> outputs) {
  const Frameworks& frameworks = state_->session.frameworks;
  return objc::guarded("running a program", [&] {
    const objc::AutoreleasePool pool(frameworks.runtime);
    const objc::Owned request = make_request(frameworks, handles_of(inputs), handles_of(outputs));
    return state_->ask("running a program", frameworks.engine.evaluate, state_->no_options(), request.get());
  });
}

Answer RawProgram::unload() {
  state_->is_loaded = false;
  return state_->ask("unloading a program", state_->session.frameworks.engine.unload);
}

void RawProgram::leave_cached() noexcept { state_->stays_cached = true; }

std::vector<std::string> RawProgram::input_symbols() const {
  const Frameworks& frameworks = state_->session.frameworks;
  if (!frameworks.engine.attributes) return {};
  return objc::guarded("reading a program's attributes", [&] {
    const objc::AutoreleasePool pool(frameworks.runtime);
    const Foundation& foundation = frameworks.foundation;
    const objc::Id description =
        foundation.find(frameworks.engine.attributes(state_->model.get()), "ANEFModelDescription");
    std::vector<std::string> names;
    const auto symbols = foundation.items(foundation.find(description, "kANEFModelInputSymbolsArrayKey"));
    if (!symbols) return names;
    for (const objc::Id symbol : *symbols) names.push_back(foundation.text(symbol).value_or(""));
    return names;
  });
}

}  // namespace ane::device::apple
