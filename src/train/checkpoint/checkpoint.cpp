#include "ane/train/checkpoint.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <span>
#include <string_view>
#include <system_error>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "ane/core/error.h"
#include "ane/core/file.h"
#include "ane/model/adapter.h"

#include "checkpoint/aside_directory.h"
#include "checkpoint/checkpoint_names.h"
#include "checkpoint/state_files.h"
#include "checkpoint/trainer_file.h"

namespace ane::train {

namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kHeaderRoom = std::uint64_t{4} << 20U;  // for everything besides the arrays

void check_room(const fs::path& directory, std::span<const StateFile> files, const CheckpointIdentity& identity) {
  std::uint64_t needed = kHeaderRoom + (identity.companions ? identity.companions->size_bytes() : 0);
  const FineTuning& fine_tuning = identity.fine_tuning;
  if (fine_tuning.frozen != nullptr && !fine_tuning.has_adapter())
    needed += fine_tuning.frozen->layout().parameter_count() * sizeof(float);
  for (const StateFile& file : files) needed += file.values.size_bytes();
  if (const std::optional<std::uint64_t> found = free_disk_bytes(directory); found && *found < needed)
    throw FileError(
        fmt::format("{}: a checkpoint needs {:.1f} MB, but the disk has {:.1f} MB left; make room, or keep fewer "
                    "(--keep-checkpoints)",
                    directory.string(), static_cast<double>(needed) / 1e6, static_cast<double>(*found) / 1e6));
}

/// Checks the size, which costs nothing, before any checksum.
void expect_size(const fs::path& path, const FileDigest& digest) {
  std::error_code error;
  const std::uint64_t found = fs::file_size(path, error);
  if (error == std::errc::no_such_file_or_directory) refuse_damaged(path, "it does not exist");
  if (error) throw FileError(fmt::format("{}: {}", path.string(), error.message()));
  if (found != digest.size_bytes)
    refuse_damaged(path, fmt::format("{} bytes long, but it was written with {}", found, digest.size_bytes));
}

void expect_contents(const fs::path& path, const FileDigest& digest) {
  expect_size(path, digest);
  if (const std::uint64_t found = checksum_of(RegularFile(path, "checkpoint")); found != digest.checksum)
    refuse_damaged(path,
                   fmt::format("its checksum is {:016x}, but it was written with {:016x}", found, digest.checksum));
}

/// The progress of a checkpoint that looks complete, without reading its arrays; nullopt for any other.
std::optional<Progress> progress_if_whole(const fs::path& checkpoint) try {
  const TrainerFileContents contents = read_trainer_file(checkpoint / kTrainerFile);
  for (const auto& [name, digest] : contents.files) expect_size(checkpoint / name, digest);
  return contents.record.progress;
} catch (const Error&) {
  return std::nullopt;
}

struct WholeCheckpoint {
  fs::path path;
  Progress progress;
};

/// The step of the checkpoint with the lowest validation loss; nullopt if none is known to have been validated. A
/// checkpoint may have been written before its state was validated, so any later one can name it.
std::optional<std::int64_t> best_step(std::span<const WholeCheckpoint> checkpoints) {
  const Progress* best = nullptr;
  for (const auto& [path, progress] : checkpoints) {
    const bool is_there = std::ranges::any_of(
        checkpoints, [step = progress.best_validation_step](const auto& each) { return each.progress.step == step; });
    if (progress.best_validation_step == 0 || !is_there) continue;
    if (best == nullptr || progress.best_validation_loss < best->best_validation_loss) best = &progress;
  }
  return best == nullptr ? std::nullopt : std::optional(best->best_validation_step);
}

bool is_undamaged(const fs::path& checkpoint) try {
  for (const auto& [name, digest] : read_trainer_file(checkpoint / kTrainerFile).files)
    expect_contents(checkpoint / name, digest);
  return true;
} catch (const Error&) {
  return false;
}

std::vector<std::string> slot_names(const StateArena& state) {
  std::vector<std::string> names;
  for (const StateSlot& slot : state.slots()) names.emplace_back(slot.name);
  return names;
}

std::string slots_text(const std::vector<std::string>& slots) {
  return slots.empty() ? std::string("none") : fmt::format("'{}'", fmt::join(slots, "', '"));
}

void expect_same_run(const fs::path& checkpoint, const TrainerFileContents& saved, const CheckpointIdentity& running,
                     const StateArena& state) {
  if (saved.identity.model != running.model)
    throw UsageError(
        fmt::format("{} is a checkpoint of another model (values of the checkpoint and of this run):\n  {}\nUse "
                    "the settings it was trained with.",
                    checkpoint.string(), fmt::join(model::differences(saved.identity.model, running.model), "\n  ")));
  if (saved.identity.data != running.data)
    throw UsageError(fmt::format(
        "{} is a checkpoint of another data set or order:\n  checkpoint: {}\n  this run:   {}\nUse the data it was "
        "trained with; to continue with other data, start from its weights with --model.",
        checkpoint.string(), saved.identity.data, running.data));
  const FineTuning& now = running.fine_tuning;
  const FineTuning& before = saved.identity.fine_tuning;
  if (before.base != now.base)
    throw UsageError(fmt::format(
        "{} was fine-tuned from another model:\n  checkpoint: {}\n  this run:   {}\nName the same model with --model.",
        checkpoint.string(), before.base.empty() ? "nothing was frozen" : before.base,
        now.base.empty() ? "nothing is frozen" : now.base));
  if (before.adapter != now.adapter)
    throw UsageError(fmt::format(
        "{} has another adapter:\n  checkpoint: {}\n  this run:   {}\nOmit the settings that begin with --lora: the "
        "checkpoint's are used.",
        checkpoint.string(), before.adapter.empty() ? "none" : before.adapter,
        now.adapter.empty() ? "none" : now.adapter));
  if (saved.slots != slot_names(state))
    throw UsageError(fmt::format(
        "{} has the optimizer state {}, but this run's optimizer has {}; use the optimizer it was trained with "
        "(--optimizer, --momentum)",
        checkpoint.string(), slots_text(saved.slots), slots_text(slot_names(state))));
}

/// Renames a damaged checkpoint so that scans ignore it, and returns the new name; the old one if that fails.
fs::path set_aside(const fs::path& checkpoint) {
  constexpr int kMostOfOneStep = 100;
  const std::string name = fmt::format("{}{}", kDamagedPrefix, checkpoint.filename().string());
  fs::path damaged = checkpoint.parent_path() / name;
  std::error_code error;
  for (int i = 2; fs::symlink_status(damaged, error).type() != fs::file_type::not_found && i <= kMostOfOneStep; ++i)
    damaged = checkpoint.parent_path() / fmt::format("{}-{}", name, i);
  fs::rename(checkpoint, damaged, error);
  return error ? checkpoint : damaged;
}

}  // namespace

CheckpointIdentity identity_of(const model::Model& model, const data::Source& source) {
  return {.model = model.config(), .data = source.identity()};
}

fs::path write_checkpoint(const fs::path& directory, const model::ParameterLayout& layout, StateArena& state,
                          const TrainerRecord& record, const CheckpointIdentity& identity,
                          const std::function<void()>& copied, WholeSlots* whole_slots) {
  fs::path place = directory / checkpoint_name(record.progress.step);
  if (is_undamaged(place)) return place;

  AsideDirectory aside(place);
  const std::vector<StateFile> state_files = files_of(state, layout, identity.fine_tuning, whole_slots);
  const model::Companions none;
  const model::Companions& companions = identity.companions ? *identity.companions : none;
  check_room(aside.path(), state_files, identity);
  // All files are written before any is synced: the state may change as soon as the system has a copy.
  std::deque<TemporaryFile> files;
  TrainerFileContents contents{.record = record, .identity = identity, .slots = slot_names(state), .files = {}};
  const auto add = [&](const std::string& name, const std::string& text) {
    TemporaryFile& file = files.emplace_back(aside.path() / name);
    file.write(std::as_bytes(std::span(text)));
    return file.digest();
  };
  for (const StateFile& array : state_files) {
    if (array.slot && whole_slots != nullptr) whole_slots->read(*array.slot);
    TemporaryFile& file = files.emplace_back(aside.path() / array.name);
    write_array(file, array, identity,
                {{model::kConfigKey, model::to_json(identity.model)},
                 {"format", "pt"},  // required by Hugging Face's transformers
                 {"step", fmt::format("{}", record.progress.step)}});
    contents.files[array.name] = file.digest();
  }
  if (copied) copied();

  if (identity.fine_tuning.has_adapter()) {
    contents.files[model::kAdapterConfigFile] = add(model::kAdapterConfigFile, identity.fine_tuning.adapter_config);
  } else {
    contents.files[model::kConfigFile] =
        add(model::kConfigFile, model::config_json_text(identity.model, companions.config_json, "F32"));
  }
  for (const model::CompanionFile& each : companions.files) {
    TemporaryFile& file = files.emplace_back(aside.path() / each.name);
    model::copy(each, file);
    contents.files[each.name] = file.digest();
  }
  add(kTrainerFile, trainer_file_text(contents));
  for (TemporaryFile& file : files) file.commit();
  aside.move_into_place();
  return place;
}

fs::path write_checkpoint(const fs::path& directory, const model::ParameterLayout& layout, StateArena& state,
                          const CheckpointIdentity& identity, WholeSlots* whole_slots) {
  return write_checkpoint(directory, layout, state, {state.progress(), state.totals()}, identity, {}, whole_slots);
}

std::vector<fs::path> checkpoints_in(const fs::path& directory) {
  std::vector<std::int64_t> steps;
  std::error_code error;
  for (fs::directory_iterator entry(directory, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    std::error_code ignored;
    if (const auto step = step_of(entry->path().filename().string()); step && entry->is_directory(ignored))
      steps.push_back(*step);
  }
  if (error) throw FileError(fmt::format("{}: no checkpoints can be found: {}", directory.string(), error.message()));
  std::sort(steps.begin(), steps.end(), std::greater<>());
  std::vector<fs::path> checkpoints;
  checkpoints.reserve(steps.size());
  for (const std::int64_t step : steps) checkpoints.push_back(directory / checkpoint_name(step));
  return checkpoints;
}

void remove_old_checkpoints(const fs::path& directory, const Retention& retention) {
  std::vector<WholeCheckpoint> checkpoints;  // newest first
  for (const fs::path& checkpoint : checkpoints_in(directory))
    if (const std::optional<Progress> progress = progress_if_whole(checkpoint))
      checkpoints.push_back({checkpoint, *progress});
  const std::optional<std::int64_t> best = retention.best ? best_step(checkpoints) : std::nullopt;
  std::int64_t newer = 0;
  for (const auto& [path, progress] : checkpoints)
    if (newer++ >= retention.newest && progress.step != best) remove_directory(path);
}

namespace {

/// nullopt if the identity cannot be read; loading the checkpoint reports the problem.
std::optional<CheckpointIdentity> read_identity(const fs::path& checkpoint) try {
  return read_trainer_file(checkpoint / kTrainerFile).identity;
} catch (const Error&) {
  return std::nullopt;
}

}  // namespace

std::optional<CheckpointIdentity> recorded_identity(const fs::path& directory) {
  for (const fs::path& checkpoint : checkpoints_in(directory))
    if (auto identity = read_identity(checkpoint)) return identity;
  return std::nullopt;
}

std::optional<model::ModelConfig> recorded_model_of(const fs::path& file) {
  const std::optional<CheckpointIdentity> identity = read_identity(file.parent_path());
  return identity ? std::optional(identity->model) : std::nullopt;
}

SettingTexts load_checkpoint(const fs::path& checkpoint, const model::ParameterLayout& layout, StateArena& state,
                             const CheckpointIdentity& identity, WholeSlots* whole_slots) {
  TrainerFileContents saved = read_trainer_file(checkpoint / kTrainerFile);
  expect_same_run(checkpoint, saved, identity, state);
  for (const auto& [name, digest] : saved.files) expect_contents(checkpoint / name, digest);
  for (const StateFile& array : files_of(state, layout, identity.fine_tuning, whole_slots)) {
    const bool is_missing = !saved.files.contains(array.name);
    if (is_missing && array.name == kRunningFile) {  // written without staleness, when the newest parameters were used
      std::ranges::copy(state.parameters(), array.values.begin());
      continue;
    }
    if (is_missing) refuse_damaged(checkpoint / kTrainerFile, fmt::format("'{}' is missing", array.name));
    read_array(checkpoint / array.name, array, identity);
    if (array.slot && whole_slots != nullptr) whole_slots->write(*array.slot);
  }
  state.progress() = saved.record.progress;
  return std::move(saved.identity.settings);
}

LoadedCheckpoint load_newest_checkpoint(const fs::path& directory, const model::ParameterLayout& layout,
                                        StateArena& state, const CheckpointIdentity& identity,
                                        WholeSlots* whole_slots) {
  remove_leftovers(directory);  // even if no further checkpoint will be written
  LoadedCheckpoint loaded;
  for (const fs::path& checkpoint : checkpoints_in(directory)) {
    try {
      loaded.settings = load_checkpoint(checkpoint, layout, state, identity, whole_slots);
      loaded.path = checkpoint;
      return loaded;
    } catch (const DamagedError& error) {
      loaded.unusable.push_back(fmt::format("{} (now {})", error.what(), set_aside(checkpoint).string()));
    } catch (const FileError& error) {
      loaded.unusable.emplace_back(error.what());
    }
  }
  throw FileError(
      fmt::format("{}: no checkpoint to resume from{}{}", directory.string(),
                  loaded.unusable.empty() ? ": there is no directory step-NNNNNNNN" : ": none is usable\n  ",
                  fmt::join(loaded.unusable, "\n  ")));
}

}  // namespace ane::train
