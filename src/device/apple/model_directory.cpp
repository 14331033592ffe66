#include "model_directory.h"

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <unistd.h>

#include "ane/core/file.h"
#include "ane/device/device.h"

#include "program_files.h"

namespace ane::device::apple {

namespace fs = std::filesystem;

namespace {

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

/// Writes to a temporary file first, so that a process that compiles the same program never reads a partial file.
void write(const fs::path& path, std::span<const std::byte> bytes) {
  fs::create_directories(path.parent_path());
  const fs::path temporary = fmt::format("{}.{}", path.string(), getpid());
  errno = 0;
  std::ofstream file(temporary, std::ios::binary | std::ios::trunc);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  file.close();
  std::error_code error;
  if (!file) error.assign(errno, std::generic_category());
  if (!error) fs::rename(temporary, path, error);
  if (!error) return;
  ::unlink(temporary.c_str());
  throw DeviceError(fmt::format("cannot write {} ({} bytes), which the ANE's compiler reads: {}", path.string(),
                                bytes.size(), error.message()));
}

bool file_holds(const fs::path& path, std::span<const std::byte> bytes) {
  try {
    const RegularFile file(path, "compiled program's file");
    return file.size_bytes() == bytes.size() && checksum_of(file) == checksum_of(bytes);
  } catch (const FileError&) {
    return false;
  }
}

std::vector<fs::path> blob_files(const mil::Blobs& weights) {
  std::vector<fs::path> files;
  for (const auto& [key, bytes] : weights) files.push_back(blob_file(key));
  return files;
}

}  // namespace

ModelDirectory::ModelDirectory(fs::path path, std::string_view mil_text, const mil::Blobs& weights)
    : path_(std::move(path)), claim_(path_, blob_files(weights)) {
  static_cast<void>(restore(mil_text, weights));
}

bool ModelDirectory::restore(std::string_view mil_text, const mil::Blobs& weights) const try {
  if (holds(mil_text, weights)) return false;
  populate(mil_text, weights);
  return true;
} catch (const fs::filesystem_error& error) {
  throw DeviceError(fmt::format("cannot create {}, from which the ANE's compiler reads the program: {}", path_.string(),
                                error.what()));
}

void ModelDirectory::populate(std::string_view mil_text, const mil::Blobs& weights) const {
  fs::create_directories(path_);
  if (!is_own_directory(path_)) {
    throw DeviceError(fmt::format(
        "{}, from which the ANE's compiler reads the program, is not a directory owned by this user; remove it",
        path_.string()));
  }
  fs::create_directories(path_ / "weights");  // other projects always create it, even if it stays empty
  write(path_ / kTextFile, bytes_of(mil_text));
  for (const auto& [key, bytes] : weights) write(path_ / blob_file(key), bytes);
}

bool ModelDirectory::holds(std::string_view mil_text, const mil::Blobs& weights) const {
  return file_holds(path_ / kTextFile, bytes_of(mil_text)) &&
         std::all_of(weights.begin(), weights.end(),
                     [&](const auto& blob) { return file_holds(path_ / blob_file(blob.first), blob.second); });
}

}  // namespace ane::device::apple
