#include "ane/device/apple/compile_worker.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <istream>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "ane/core/environment.h"
#include "ane/core/error.h"
#include "ane/core/file.h"
#include "ane/mil/blob.h"
#include "ane/mil/text.h"

#include "loaded_model.h"
#include "program_files.h"

namespace ane::device::apple {

namespace {

/// A program as its trainer has written it.
struct WrittenProgram {
  std::string text;
  mil::Blobs weights;
};

/// Throws Error if files are missing, which the trainer or its end may have removed.
WrittenProgram read_program(const std::filesystem::path& directory) {
  WrittenProgram program{read_text_file(directory / kTextFile, "program"), {}};
  for (const std::string& key : mil::blob_paths(mil::parse(program.text)))
    program.weights.emplace(key, RegularFile(directory / blob_file(key), "program's weights").read_all());
  return program;
}

/// Compiles a program. Throws Error with the reason if that fails. Unless the trainer claims the program, it is purged.
void compile_program(Session& session, const std::string& identifier) {
  if (!is_program_identifier(identifier)) throw DeviceError(fmt::format("'{}' identifies no program", identifier));
  const objc::AutoreleasePool pool(session.frameworks.runtime);
  const std::filesystem::path path = program_directory(session, identifier);
  const WrittenProgram program = read_program(path);
  ModelDirectory directory(path, program.text, program.weights);
  const UncompiledModel made = make_model(
      session, {.label = {}, .mil_text = program.text, .weights = &program.weights, .inputs = {}, .outputs = {}});
  if (made.identifier != identifier)
    throw DeviceError(fmt::format("the files in {} are those of another program, {}", path.string(), made.identifier));
  const std::optional<std::string> refusal = compile_model(session, made.model.get());
  purge_program(session, directory, made.model.get());
  if (refusal) throw CompileError(*refusal);
}

}  // namespace

std::optional<unsigned> find_worker_request(std::span<const std::string> environment) {
  const std::optional<std::string> value = find_variable(environment, kWorkerVariable);
  if (!value) return std::nullopt;
  unsigned qos = 0;
  const char* const end = value->data() + value->size();
  if (const auto [last, error] = std::from_chars(value->data(), end, qos); error != std::errc() || last != end)
    throw UsageError(fmt::format("{} is '{}', which is not what ane-train sets it to for its own processes; unset it",
                                 kWorkerVariable, *value));
  return qos;
}

void compile_for_trainer(unsigned qos, std::istream& requests, const std::function<void(const std::string&)>& answer,
                         const LibraryPaths& paths) {
  AneOptions options;
  options.qos = qos;
  Session session(std::move(options), paths);
  if (const Probe& probe = session.frameworks.probe(); !probe.usable()) throw DeviceError(probe.reason());
  for (std::string identifier; std::getline(requests, identifier);) {
    std::string text = kCompiled;
    try {
      objc::guarded("compiling a program for the ANE", [&] { compile_program(session, identifier); });
    } catch (const Error& error) {
      text = error.what();
      std::ranges::replace(text, '\n', ' ');
    }
    answer(text);
  }
}

}  // namespace ane::device::apple
