#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ane/core/file.h"
#include "ane/model/parameters.h"
#include "ane/model/safetensors.h"
#include "ane/train/checkpoint.h"
#include "ane/train/state.h"

namespace ane::train {

/// An array of the state and its file.
struct StateFile {
  std::string name;
  std::span<float> values;
  const model::ParameterLayout& layout;
  std::optional<std::size_t> slot{};  ///< of the optimizer
};

/// The arrays of the state in the order of their files: parameters, optimizer slots and, with staleness, the running
/// parameters. `layout` is that of what is trained, and must outlive the result. The parameters of an adapter have
/// PEFT's file. `whole_slots`: see write_checkpoint().
[[nodiscard]] std::vector<StateFile> files_of(StateArena& state, const model::ParameterLayout& layout,
                                              const FineTuning& fine_tuning, const WholeSlots* whole_slots);

/// Writes an array. The model's file also gets the frozen parameters, so that it is
/// a whole model, unless they can no longer be read: then a run at least saves what it trained. Throws FileError.
void write_array(TemporaryFile& file, const StateFile& array, const CheckpointIdentity& identity,
                 const model::Metadata& metadata);

/// Reads what write_array() wrote. Throws FileError.
void read_array(const std::filesystem::path& path, const StateFile& array, const CheckpointIdentity& identity);

}  // namespace ane::train
