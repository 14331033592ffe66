#include "ane/cli/mil_weights.h"

#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "ane/cli/random_weights.h"
#include "ane/core/error.h"
#include "ane/mil/constants.h"

namespace ane::cli {
namespace {

bool is_missing(const std::string& path, const std::filesystem::path& directory, bool is_made_up) try {
  std::error_code error;  // whatever else is wrong with it, reading it will tell
  return !std::filesystem::exists(directory / mil::blob_place(path), error) && !error;
} catch (const mil::BlobError&) {
  return is_made_up;  // else reading it will tell
}

std::set<std::string> missing_files(const mil::Program& program, const std::filesystem::path& directory,
                                    bool are_made_up) {
  std::set<std::string> missing;
  for (const std::string& path : mil::blob_paths(program)) {
    if (is_missing(path, directory, are_made_up)) missing.insert(path);
  }
  return missing;
}

/// Here, because they are the file's fault, not the device's.
void check_records(const mil::Program& program, const mil::Blobs& blobs) {
  mil::for_each_blob(
      program, [&](const mil::OpView&, const mil::Constant& constant, const mil::BlobRef& ref, const std::string&) {
        static_cast<void>(mil::read_blob(blobs, ref, constant.type));
      });
}

}  // namespace

MilWeights load_mil_weights(mil::Program& program, const std::filesystem::path& directory,
                            std::optional<std::uint64_t> seed) {
  MilWeights weights;
  std::set<std::string> missing = missing_files(program, directory, seed.has_value());
  if (!missing.empty() && !seed) {
    throw FileError(
        fmt::format("weights are missing in {}: {}; name the folder that @model_path stands for with "
                    "--weights DIR, or have them made up with --weights random",
                    directory.empty() ? "this folder" : directory.string(), fmt::join(missing, ", ")));
  }
  if (!missing.empty()) weights.blobs = make_up_weights(program, missing, *seed);
  weights.made_up = std::move(missing);
  weights.blobs = mil::load_blobs(program, directory, std::move(weights.blobs));
  check_records(program, weights.blobs);
  return weights;
}

}  // namespace ane::cli
