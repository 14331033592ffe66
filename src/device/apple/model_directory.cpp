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

/// Under another name first, so that a process that compiles the same program never reads half a file.
void write(const fs::path& path, std::span<const std::byte> bytes) {
  fs::create_directories(path.parent_path());
  const fs::path temporary = fmt::format("{}.{}", path.string(), getpid());
  errno = 0;
  std::ofstream file(temporary, std::ios::binary | std::ios::trunc);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file) {
    throw DeviceError(fmt::format("cannot write {} ({} bytes), which the ANE's compiler reads: {}", path.string(),
                                  bytes.size(), std::strerror(errno)));
  }
  fs::rename(temporary, path);
}

bool file_holds(const fs::path& path, std::span<const std::byte> bytes) {
  try {
    const RegularFile file(path, "compiled program's file");
    return file.size_bytes() == bytes.size() && checksum_of(file) == checksum_of(bytes);
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

ProgramClaim::ProgramClaim(const fs::path& directory)
    : directory_(directory), file_(directory.string() + std::string(kSuffix)) {
  constexpr auto kPatience = std::chrono::seconds(10);
  constexpr auto kPause = std::chrono::milliseconds(5);
  std::error_code ignored;  // open will say it
  fs::create_directories(file_.parent_path(), ignored);
  for (auto waited = std::chrono::milliseconds(0); waited < kPatience; waited += kPause) {
    descriptor_ = ::open(file_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
    if (descriptor_ < 0) {
      throw DeviceError(fmt::format("cannot make {}, next to where the ANE's compiler reads the program: {}",
                                    file_.string(), std::strerror(errno)));
    }
    if (lock(LOCK_EX) && is_recorded()) fs::remove_all(directory_, ignored);
    if (lock(LOCK_SH) && is_recorded()) {
      hold_ = Hold::shared;
      return;
    }
    ::close(descriptor_);  // another process removes the record just now, or has between our open and our lock
    std::this_thread::sleep_for(kPause);
  }
  throw DeviceError(
      fmt::format("{} stays locked by another process, which works with the same program; run one after "
                  "the other",
                  file_.string()));
}

ProgramClaim::ProgramClaim(const fs::path& directory, Abandoned /*tag*/)
    : directory_(directory),
      file_(directory.string() + std::string(kSuffix)),
      descriptor_(::open(file_.c_str(), O_RDWR | O_CLOEXEC)) {
  if (descriptor_ >= 0 && lock(LOCK_EX) && is_recorded()) hold_ = Hold::alone;
}

ProgramClaim::~ProgramClaim() {
  if (take_over()) {
    std::error_code ignored;
    fs::remove_all(directory_, ignored);
    ::unlink(file_.c_str());
  }
  if (descriptor_ >= 0) ::close(descriptor_);
}

bool ProgramClaim::take_over() noexcept {
  // A lock is not converted in one step: between the two another may take over, and remove the record; and if the
  // conversion fails, the lock is gone.
  if (hold_ == Hold::shared) hold_ = lock(LOCK_EX) && is_recorded() ? Hold::alone : Hold::none;
  return hold_ == Hold::alone;
}

bool ProgramClaim::lock(int operation) noexcept { return ::flock(descriptor_, operation | LOCK_NB) == 0; }

bool ProgramClaim::is_recorded() const noexcept {
  struct stat status {};
  return ::fstat(descriptor_, &status) == 0 && status.st_nlink > 0;
}

ModelDirectory::ModelDirectory(fs::path path, std::string_view mil_text, const mil::Blobs& weights)
    : path_(std::move(path)), claim_(path_) {
  static_cast<void>(restore(mil_text, weights));
}

bool ModelDirectory::restore(std::string_view mil_text, const mil::Blobs& weights) const try {
  if (holds(mil_text, weights)) return false;
  populate(mil_text, weights);
  return true;
} catch (const fs::filesystem_error& error) {
  throw DeviceError(
      fmt::format("cannot make {}, where the ANE's compiler reads the program: {}", path_.string(), error.what()));
}

void ModelDirectory::populate(std::string_view mil_text, const mil::Blobs& weights) const {
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

void remove_abandoned_programs(const fs::path& directory,
                               const std::function<void(const std::string& identifier)>& purge) noexcept try {
  std::vector<fs::path> programs;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory)) {
    std::string name = entry.path().string();
    if (!name.ends_with(ProgramClaim::kSuffix)) continue;
    name.resize(name.size() - ProgramClaim::kSuffix.size());
    programs.emplace_back(name);
  }
  for (const fs::path& program : programs) {
    const ProgramClaim claim(program, ProgramClaim::Abandoned{});
    if (claim.hold_ == ProgramClaim::Hold::alone) purge(program.filename().string());
  }
} catch (const std::exception&) {
  // Nothing of ours depends on it, and the system clears its directory for temporary files in the end.
}

}  // namespace ane::device::apple
