#pragma once

#include <filesystem>
#include <string>

#include "ane/data/source.h"
#include "ane/model/model.h"
#include "ane/train/state.h"

/// A checkpoint is a directory: model.safetensors (parameters), moments.safetensors (m.NAME, v.NAME; absent for SGD)
/// and state.json (progress, settings, data identity). It is written aside and renamed, so it is there whole or not at
/// all.
namespace ane::train {

struct CheckpointIdentity {
  std::string model;  ///< dimensions line
  std::string data;   ///< Source::identity
};

[[nodiscard]] CheckpointIdentity identity_of(const model::Model& model, const data::Source& source);

/// Writes directory/step-00000120 and returns its path. Throws FileError; an older checkpoint is never harmed.
std::filesystem::path write_checkpoint(const std::filesystem::path& directory, const model::ParameterLayout& layout,
                                       StateArena& state, const CheckpointIdentity& identity);

/// The newest whole checkpoint under `directory`. Throws FileError if there is none.
[[nodiscard]] std::filesystem::path latest_checkpoint(const std::filesystem::path& directory);

/// Fills `state` from `checkpoint`. Throws FileError if it is damaged, UsageError if it is of another model or other
/// data, naming the difference.
void load_checkpoint(const std::filesystem::path& checkpoint, const model::ParameterLayout& layout, StateArena& state,
                     const CheckpointIdentity& identity);

}  // namespace ane::train
