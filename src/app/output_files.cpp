#include "ane/app/output_files.h"

#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <fmt/format.h>

#include "ane/cli/configs.h"
#include "ane/core/error.h"
#include "ane/data/sources.h"
#include "ane/train/checkpoint.h"

namespace ane::app {
namespace {

namespace fs = std::filesystem;

/// The absolute path, without links and dots, of the file that opening `path` for writing would create or use.
fs::path destination(const fs::path& path) {
  constexpr int kMostLinks = 40;  // like the system's limit
  std::error_code error;
  fs::path place = fs::absolute(path, error);
  for (int i = 0; i < kMostLinks && fs::is_symlink(place, error); ++i)
    place = place.parent_path() / fs::read_symlink(place, error);
  const fs::path canonical = fs::weakly_canonical(place, error);
  return error ? place.lexically_normal() : canonical;
}

/// Pipes and devices may be shared, because writing to them overwrites nothing.
bool is_same_file(const fs::path& a, const fs::path& b) {
  std::error_code error;
  if (fs::equivalent(a, b, error)) return fs::is_regular_file(a, error);
  return destination(a) == destination(b) && !fs::exists(a, error);
}

bool is_in_checkpoints(const fs::path& file, const fs::path& directory) {
  const fs::path inside = destination(file).lexically_relative(destination(directory));
  return !inside.empty() && train::is_reserved_name(inside.begin()->string());
}

std::string named(std::string_view name, const cli::LoadedSettings& loaded) {
  return fmt::format("{} ({})", cli::setting(name).key(), loaded.origin(name).place);
}

struct NamedFile {
  std::string_view setting;
  std::string path;
};

}  // namespace

void check_output_files(const cli::LoadedSettings& loaded) {
  const cli::Settings& values = loaded.values;
  std::vector<NamedFile> others;
  if (values.data != data::kSynthetic && values.data != data::kStandardInput)
    for (const fs::path& file : data::files_in_list(values.data)) others.push_back({"data", file.string()});
  if (!values.tokenizer.empty()) others.push_back({"tokenizer", values.tokenizer});
  if (!values.model.empty()) others.push_back({"model", values.model});
  if (cli::is_config_file(values.config)) others.push_back({"config", values.config});
  for (const NamedFile& output : {NamedFile{"telemetry", values.telemetry}, NamedFile{"report", values.report},
                                  NamedFile{"profile", values.profile}}) {
    if (output.path.empty()) continue;
    for (const NamedFile& other : others) {
      if (is_same_file(output.path, other.path))
        throw UsageError(fmt::format("{} would overwrite '{}', which is the file of {}; name another one",
                                     named(output.setting, loaded), other.path, named(other.setting, loaded)));
    }
    if (!values.checkpoint_dir.empty() && is_in_checkpoints(output.path, values.checkpoint_dir))
      throw UsageError(fmt::format("{} is '{}', which {} uses for its own files; name another one",
                                   named(output.setting, loaded), output.path, named("checkpoint-dir", loaded)));
    others.push_back(output);
  }
}

}  // namespace ane::app
