#include "ane/app/recorded_settings.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "ane/app/model_choice.h"
#include "ane/train/checkpoint.h"

namespace ane::app {
namespace {

bool has_checkpoints(const std::filesystem::path& directory) {
  std::error_code error;
  return std::filesystem::status(directory, error).type() != std::filesystem::file_type::not_found &&
         !train::checkpoints_in(directory).empty();
}

}  // namespace

std::optional<cli::RecordedSettings> find_recorded_settings(cli::Settings& given) {
  using cli::ResumeChoice;
  const std::string& directory = given.checkpoint_dir;
  if (given.resume == ResumeChoice::never || directory.empty()) return std::nullopt;
  if (given.resume == ResumeChoice::automatic)
    given.resume = has_checkpoints(directory) ? ResumeChoice::always : ResumeChoice::never;
  if (given.resume == ResumeChoice::never) return std::nullopt;
  std::optional<train::CheckpointIdentity> identity = train::recorded_identity(directory);
  if (!identity) return std::nullopt;
  cli::RecordedSettings recorded{.values = std::move(identity->settings),
                                 .place = fmt::format("checkpoint {}", directory)};
  recorded.values.merge(model_settings(identity->model));  // what settings of an older version do not contain
  return recorded;
}

}  // namespace ane::app
