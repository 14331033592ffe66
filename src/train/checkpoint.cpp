#include "ane/train/checkpoint.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <string_view>
#include <system_error>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "ane/core/error.h"
#include "ane/core/file.h"
#include "ane/model/safetensors.h"
#include "ane/model/weight_files.h"

namespace ane::train {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::string_view kPrefix = "step-";
constexpr const char* kModelFile = "model.safetensors";
constexpr const char* kMomentsFile = "moments.safetensors";
constexpr const char* kStateFile = "state.json";
constexpr const char* kFormat = "ane-train checkpoint";
constexpr int kVersion = 1;
constexpr std::array<std::string_view, 2> kMomentPrefixes = {"m.", "v."};

std::string directory_name(std::int64_t step) { return fmt::format("{}{:08}", kPrefix, step); }

std::optional<std::int64_t> step_of(const fs::path& checkpoint) {
  const std::string name = checkpoint.filename().string();
  if (!name.starts_with(kPrefix)) return std::nullopt;
  std::int64_t step = 0;
  const char* const last = name.data() + name.size();
  const auto [end, error] = std::from_chars(name.data() + kPrefix.size(), last, step);
  if (error != std::errc{} || end != last || name != directory_name(step)) return std::nullopt;
  return step;
}

bool is_whole(const fs::path& checkpoint) {
  std::error_code ignored;
  return fs::is_regular_file(checkpoint / kStateFile, ignored) && fs::is_regular_file(checkpoint / kModelFile, ignored);
}

json state_json(const StateArena& state, const Progress& progress, const CheckpointIdentity& identity) {
  return {{"format", kFormat},
          {"version", kVersion},
          {"model", identity.model},
          {"data", identity.data},
          {"moments", state.moment_count()},
          {"progress",
           {{"step", progress.step},
            {"update", progress.update},
            {"optimizer_updates", progress.optimizer_updates},
            {"loss_scale", progress.loss_scale},
            {"good_updates", progress.good_updates},
            {"skipped_in_row", progress.skipped_in_row},
            {"last_loss", progress.last_loss}}}};
}

/// state.json, read field by field; every complaint names the file and the field.
class StateFile {
 public:
  explicit StateFile(fs::path path)
      : path_(std::move(path)), json_(json::parse(read_text_file(path_, "checkpoint"), nullptr, false)) {
    if (!json_.is_object())
      throw FileError(fmt::format("{}: not a JSON object; the checkpoint is damaged", path_.string()));
    if (text("format") != kFormat) throw FileError(fmt::format("{}: not an ane-train checkpoint", path_.string()));
    if (const std::int64_t version = count(json_, "version"); version != kVersion)
      throw FileError(fmt::format("{}: version {} of the checkpoint format; this program reads version {}",
                                  path_.string(), version, kVersion));
  }

  [[nodiscard]] std::string text(const char* name) const {
    const json& value = field(json_, name);
    if (!value.is_string()) refuse(name, "a string", value);
    return value.get<std::string>();
  }
  [[nodiscard]] std::int64_t moments() const { return count(json_, "moments"); }
  [[nodiscard]] Progress progress() const {
    const json& object = field(json_, "progress");
    if (!object.is_object()) refuse("progress", "an object", object);
    Progress progress{.step = count(object, "step"),
                      .update = count(object, "update"),
                      .optimizer_updates = count(object, "optimizer_updates"),
                      .loss_scale = number(object, "loss_scale"),
                      .good_updates = count(object, "good_updates"),
                      .skipped_in_row = count(object, "skipped_in_row"),
                      .last_loss = number(object, "last_loss")};
    if (progress.loss_scale <= 0) refuse("loss_scale", "positive", object["loss_scale"]);
    return progress;
  }

 private:
  [[noreturn]] void refuse(const char* name, const char* expected, const json& found) const {
    throw FileError(fmt::format("{}: '{}' should be {}, but is {}; the checkpoint is damaged", path_.string(), name,
                                expected, found.dump(-1, ' ', false, json::error_handler_t::replace)));
  }
  [[nodiscard]] const json& field(const json& object, const char* name) const {
    const auto found = object.find(name);
    if (found == object.end())
      throw FileError(fmt::format("{}: '{}' is missing; the checkpoint is damaged", path_.string(), name));
    return *found;
  }
  [[nodiscard]] std::int64_t count(const json& object, const char* name) const {
    const json& value = field(object, name);
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() > (std::uint64_t{1} << 53))
      refuse(name, "a whole number of 0 or more", value);
    return value.get<std::int64_t>();
  }
  [[nodiscard]] double number(const json& object, const char* name) const {
    const json& value = field(object, name);
    if (!value.is_number() || !std::isfinite(value.get<double>())) refuse(name, "a finite number", value);
    return value.get<double>();
  }

  fs::path path_;
  json json_;
};

void write_moments(const fs::path& path, const model::ParameterLayout& layout, StateArena& state) {
  std::vector<model::NamedTensor> tensors;
  for (int i = 0; i < state.moment_count(); ++i)
    for (const model::Parameter& parameter : layout.parameters())
      tensors.push_back({fmt::format("{}{}", kMomentPrefixes.at(static_cast<std::size_t>(i)), parameter.name),
                         parameter.shape, slice(state.moment(i), parameter)});
  model::write_safetensors(path, tensors, {});
}

void read_moments(const fs::path& path, const model::ParameterLayout& layout, StateArena& state) {
  const model::SafetensorsFile file(path);
  for (int i = 0; i < state.moment_count(); ++i)
    for (const model::Parameter& parameter : layout.parameters())
      file.read(fmt::format("{}{}", kMomentPrefixes.at(static_cast<std::size_t>(i)), parameter.name), parameter.shape,
                slice(state.moment(i), parameter));
}

void expect_same(const fs::path& checkpoint, std::string_view what, std::string_view saved, std::string_view running,
                 std::string_view advice) {
  if (saved != running)
    throw UsageError(fmt::format("{} is of another {}:\n  checkpoint: {}\n  this run:   {}\n{}", checkpoint.string(),
                                 what, saved, running, advice));
}

[[noreturn]] void fail(const fs::path& path, std::string_view what, const std::error_code& error) {
  throw FileError(fmt::format("{}: {}: {}", path.string(), what, error.message()));
}

/// A new, empty directory beside `place`; removed with all that is in it unless it is moved into place.
class AsideDirectory {
 public:
  explicit AsideDirectory(fs::path place) : place_(std::move(place)), aside_(beside(".partial-")) {
    std::error_code error;
    fs::create_directories(place_.parent_path(), error);
    if (error) fail(place_.parent_path(), "the checkpoint directory could not be made", error);
    fs::remove_all(aside_, error);  // of a process that was killed
    fs::create_directory(aside_, error);
    if (error) fail(aside_, "the checkpoint could not be written", error);
  }
  ~AsideDirectory() {
    std::error_code ignored;
    fs::remove_all(aside_, ignored);
  }
  AsideDirectory(const AsideDirectory&) = delete;
  AsideDirectory& operator=(const AsideDirectory&) = delete;

  [[nodiscard]] const fs::path& path() const noexcept { return aside_; }

  /// Replaces what is in place, which comes back if that fails.
  void move_into_place() {
    sync_directory(aside_);
    const fs::path old = beside(".old-");
    std::error_code error;
    fs::remove_all(old, error);
    fs::rename(place_, old, error);
    const bool replaced = !error;
    fs::rename(aside_, place_, error);
    if (error) {
      std::error_code ignored;
      if (replaced) fs::rename(old, place_, ignored);
      fail(place_, "the checkpoint could not be moved into place", error);
    }
    sync_directory(place_.parent_path());
    fs::remove_all(old, error);
  }

 private:
  [[nodiscard]] fs::path beside(std::string_view prefix) const {
    return place_.parent_path() / fmt::format("{}{}", prefix, place_.filename().string());
  }

  fs::path place_;
  fs::path aside_;
};

}  // namespace

CheckpointIdentity identity_of(const model::Model& model, const data::Source& source) {
  return {.model = model.summary().dimensions, .data = source.identity()};
}

fs::path write_checkpoint(const fs::path& directory, const model::ParameterLayout& layout, StateArena& state,
                          const CheckpointIdentity& identity) {
  const Progress& progress = state.progress();
  const fs::path place = directory / directory_name(progress.step);
  AsideDirectory aside(place);
  model::write_safetensors(aside.path() / kModelFile, layout, state.parameters(),
                           {{"model", identity.model}, {"step", fmt::format("{}", progress.step)}});
  if (state.moment_count() > 0) write_moments(aside.path() / kMomentsFile, layout, state);
  const std::string text = state_json(state, progress, identity).dump(2, ' ', false, json::error_handler_t::replace);
  write_file_atomically(aside.path() / kStateFile, std::as_bytes(std::span(text)));
  aside.move_into_place();
  return place;
}

fs::path latest_checkpoint(const fs::path& directory) {
  std::error_code error;
  fs::directory_iterator entry(directory, error);
  if (error) fail(directory, "no checkpoint to resume from", error);
  std::optional<std::int64_t> latest;
  for (; entry != fs::directory_iterator(); entry.increment(error)) {
    const auto step = step_of(entry->path());
    if (step && is_whole(entry->path())) latest = std::max(latest.value_or(0), *step);
    if (error) fail(directory, "no checkpoint to resume from", error);
  }
  if (!latest)
    throw FileError(fmt::format("{}: no checkpoint to resume from: there is no directory {}NNNNNNNN with {} and {}",
                                directory.string(), kPrefix, kStateFile, kModelFile));
  return directory / directory_name(*latest);
}

void load_checkpoint(const fs::path& checkpoint, const model::ParameterLayout& layout, StateArena& state,
                     const CheckpointIdentity& identity) {
  const StateFile file(checkpoint / kStateFile);
  expect_same(checkpoint, "model", file.text("model"), identity.model, "Use the settings it was trained with.");
  expect_same(checkpoint, "data set or order", file.text("data"), identity.data,
              "Use the data it was trained with; to go on with other data, start from its weights with --model.");
  if (const std::int64_t moments = file.moments(); moments != state.moment_count())
    throw UsageError(
        fmt::format("{} has {} moments for each parameter, but this run's optimiser keeps {} (AdamW 2, SGD 0); "
                    "use the optimiser it was trained with",
                    checkpoint.string(), moments, state.moment_count()));
  const Progress progress = file.progress();
  model::read_safetensors(checkpoint / kModelFile, layout, state.parameters());
  if (state.moment_count() > 0) read_moments(checkpoint / kMomentsFile, layout, state);
  state.progress() = progress;
}

}  // namespace ane::train
