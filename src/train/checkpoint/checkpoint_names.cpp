#include "checkpoint/checkpoint_names.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <system_error>

#include <fmt/format.h>

#include "ane/core/file.h"
#include "ane/model/adapter.h"
#include "ane/model/config.h"
#include "ane/train/checkpoint.h"
#include "ane/train/optimizer.h"

namespace ane::train {

namespace {

constexpr std::string_view kPrefix = "step-";
constexpr std::array<std::string_view, 6> kFiles = {kTrainerFile, model::kConfigFile,        kModelFile,
                                                    kRunningFile, model::kAdapterConfigFile, model::kAdapterFile};
constexpr std::string_view kSlotSuffix = ".safetensors";

}  // namespace

std::string checkpoint_name(std::int64_t step) { return fmt::format("{}{:08}", kPrefix, step); }

std::optional<std::int64_t> step_of(std::string_view name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  std::int64_t step = 0;
  const char* const last = name.data() + name.size();
  const auto [end, error] = std::from_chars(name.data() + kPrefix.size(), last, step);
  if (error != std::errc{} || end != last || step < 0 || name != checkpoint_name(step)) return std::nullopt;
  return step;
}

bool is_checkpoint_with(std::string_view prefix, std::string_view name) {
  return name.starts_with(prefix) && step_of(name.substr(prefix.size())).has_value();
}

std::string slot_file(std::string_view slot) { return fmt::format("{}{}", slot, kSlotSuffix); }

std::string_view final_name(std::string_view name) {
  const std::string_view file = name.substr(0, name.find(".tmp-"));
  return TemporaryFile::is_name_for(file, name) ? file : name;
}

bool is_checkpoint_file(std::string_view name) {
  const std::string_view file = final_name(name);
  if (std::ranges::count(kFiles, file) > 0) return true;
  return file.ends_with(kSlotSuffix) && is_optimizer_slot(file.substr(0, file.size() - kSlotSuffix.size()));
}

bool is_reserved_name(std::string_view name) {
  return name == kLockFile || step_of(name).has_value() || is_checkpoint_with(kPartialPrefix, name) ||
         is_checkpoint_with(kOldPrefix, name) || is_checkpoint_with(kDamagedPrefix, name);
}

}  // namespace ane::train
