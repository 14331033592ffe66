#include "model_directory.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <span>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "ane/core/file.h"
#include "ane/device/device.h"

namespace ane::device::apple {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kModelPath = "@model_path/";
constexpr std::string_view kTextFile = "model.mil";

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

void write(const fs::path& path, std::span<const std::byte> bytes) {
  fs::create_directories(path.parent_path());
  errno = 0;
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file) {
    throw DeviceError(fmt::format("cannot write {} ({} bytes), which the ANE's compiler reads: {}", path.string(),
                                  bytes.size(), std::strerror(errno)));
  }
}

bool file_holds(const fs::path& path, std::span<const std::byte> bytes) {
  try {
    const MappedFile file(path, "compiled program's file");
    return std::equal(file.bytes().begin(), file.bytes().end(), bytes.begin(), bytes.end());
  } catch (const FileError&) {
    return false;
  }
}

}  // namespace

fs::path blob_file(std::string_view key) {
  const fs::path file = key.substr(0, kModelPath.size()) == kModelPath ? key.substr(kModelPath.size()) : "";
  const bool leads_out =
      file.is_absolute() || std::any_of(file.begin(), file.end(), [](const fs::path& part) { return part == ".."; });
  if (!file.has_filename() || leads_out || file == kTextFile) {
    throw CompileError(fmt::format("the ANE finds weights by paths like @model_path/weights/w.bin, not by '{}'", key));
  }
  return file;
}

ModelDirectory::ModelDirectory(fs::path path, std::string_view mil_text, const mil::Blobs& weights)
    : path_(std::move(path)) {
  try {
    populate(mil_text, weights);
  } catch (const fs::filesystem_error& error) {
    remove();
    throw DeviceError(
        fmt::format("cannot make {}, where the ANE's compiler reads the program: {}", path_.string(), error.what()));
  } catch (...) {
    remove();
    throw;
  }
}

ModelDirectory::~ModelDirectory() { remove(); }

void ModelDirectory::populate(std::string_view mil_text, const mil::Blobs& weights) const {
  fs::remove_all(path_);
  // Empty or not, others always make it.
  fs::create_directories(path_ / "weights");
  write(path_ / kTextFile, bytes_of(mil_text));
  for (const auto& [key, bytes] : weights) write(path_ / blob_file(key), bytes);
}

bool ModelDirectory::holds(std::string_view mil_text, const mil::Blobs& weights) const {
  return file_holds(path_ / kTextFile, bytes_of(mil_text)) &&
         std::all_of(weights.begin(), weights.end(),
                     [&](const auto& blob) { return file_holds(path_ / blob_file(blob.first), blob.second); });
}

void ModelDirectory::remove() const noexcept {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

}  // namespace ane::device::apple
