#include "model_directory.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <exception>
#include <fstream>
#include <span>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

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
  fs::path file = key.substr(0, kModelPath.size()) == kModelPath ? key.substr(kModelPath.size()) : "";
  const bool leads_out =
      file.is_absolute() || std::any_of(file.begin(), file.end(), [](const fs::path& part) { return part == ".."; });
  if (!file.has_filename() || leads_out || file == kTextFile) {
    throw CompileError(fmt::format("the ANE finds weights by paths like @model_path/weights/w.bin, not by '{}'", key));
  }
  return file;
}

DirectoryClaim::DirectoryClaim(const fs::path& directory) : file_(directory.string() + std::string(kSuffix)) {
  std::error_code ignored;  // open will say it
  fs::create_directories(file_.parent_path(), ignored);
  for (;;) {
    descriptor_ = ::open(file_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (descriptor_ < 0) {
      throw DeviceError(fmt::format("cannot make {}, next to where the ANE's compiler reads the program: {}",
                                    file_.string(), std::strerror(errno)));
    }
    is_ours_ = ::flock(descriptor_, LOCK_EX | LOCK_NB) == 0;
    struct stat status {};
    if (!is_ours_ || (::fstat(descriptor_, &status) == 0 && status.st_nlink > 0)) return;
    ::close(descriptor_);  // its owner removed it between our open and our lock
  }
}

DirectoryClaim::~DirectoryClaim() {
  if (is_ours_) ::unlink(file_.c_str());
  ::close(descriptor_);
}

ModelDirectory::ModelDirectory(fs::path path, std::string_view mil_text, const mil::Blobs& weights)
    : path_(std::move(path)), claim_(path_) {
  if (!claim_.is_ours()) {
    wait_until_populated(mil_text, weights);
    return;
  }
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

ModelDirectory::~ModelDirectory() {
  if (claim_.is_ours()) remove();
}

void ModelDirectory::wait_until_populated(std::string_view mil_text, const mil::Blobs& weights) const {
  constexpr auto kPatience = std::chrono::seconds(2);
  constexpr auto kPause = std::chrono::milliseconds(10);
  for (auto waited = std::chrono::milliseconds(0); waited < kPatience; waited += kPause) {
    if (holds(mil_text, weights)) return;
    std::this_thread::sleep_for(kPause);
  }
  throw DeviceError(fmt::format("{} is in use by another process and holds another program; run one after the other",
                                path_.string()));
}

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

void remove_abandoned_directories(const fs::path& folder) noexcept try {
  std::vector<fs::path> directories;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    std::string name = entry.path().string();
    if (!name.ends_with(DirectoryClaim::kSuffix)) continue;
    name.resize(name.size() - DirectoryClaim::kSuffix.size());
    directories.emplace_back(name);
  }
  for (const fs::path& directory : directories) {
    const DirectoryClaim claim(directory);
    if (claim.is_ours()) fs::remove_all(directory);
  }
} catch (const std::exception&) {
  // Nothing of ours depends on it, and the system clears its folder for temporary files in the end.
}

}  // namespace ane::device::apple
