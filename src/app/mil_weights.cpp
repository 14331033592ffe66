#include "ane/app/mil_weights.h"

#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "ane/app/random_weights.h"
#include "ane/core/error.h"
#include "ane/mil/constants.h"

namespace ane::app {
namespace {

bool is_missing(const std::string& path, const std::filesystem::path& directory, bool is_generated) try {
  std::error_code error;  // any other problem is reported when the file is read
  return !std::filesystem::exists(directory / mil::blob_place(path), error) && !error;
} catch (const mil::BlobError&) {
  return is_generated;  // otherwise reported when the file is read
}

std::set<std::string> missing_files(const mil::Program& program, const std::filesystem::path& directory,
                                    bool are_generated) {
  std::set<std::string> missing;
  for (const std::string& path : mil::blob_paths(program)) {
    if (is_missing(path, directory, are_generated)) missing.insert(path);
  }
  return missing;
}

/// Checks the records before compilation, because errors in them are the file's fault, not the device's.
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
        fmt::format("weights are missing in {}: {}; name the directory that @model_path stands for with "
                    "--weights DIR, or generate them with --weights random",
                    directory.empty() ? "the current directory" : directory.string(), fmt::join(missing, ", ")));
  }
  if (!missing.empty()) weights.blobs = generate_weights(program, missing, *seed);
  weights.generated = std::move(missing);
  weights.blobs = mil::load_blobs(program, directory, std::move(weights.blobs));
  check_records(program, weights.blobs);
  return weights;
}

}  // namespace ane::app
