#include "program_claim.h"

#include <cerrno>
#include <chrono>
#include <exception>
#include <system_error>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ane/core/error.h"
#include "ane/device/device.h"

#include "program_files.h"

namespace ane::device::apple {

namespace fs = std::filesystem;

namespace {

constexpr int kOpenRecord = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;  // a pipe must be refused, not block

fs::path record_of(const fs::path& directory) { return directory.string() + std::string(ProgramClaim::kSuffix); }

}  // namespace

ProgramClaim::ProgramClaim(const fs::path& directory, std::vector<fs::path> blob_files)
    : directory_(directory), file_(record_of(directory)), blob_files_(std::move(blob_files)) {
  constexpr auto kPatience = std::chrono::seconds(10);
  constexpr auto kPause = std::chrono::milliseconds(5);
  std::error_code ignored;  // reported by open
  fs::create_directories(file_.parent_path(), ignored);
  const auto give_up = [&](const std::string& reason) {
    if (descriptor_ >= 0) ::close(descriptor_);
    throw DeviceError(fmt::format("{}, beside the directory from which the ANE's compiler reads the program, {}",
                                  file_.string(), reason));
  };
  for (auto waited = std::chrono::milliseconds(0); waited < kPatience; waited += kPause) {
    descriptor_ = ::open(file_.c_str(), kOpenRecord | O_CREAT, S_IRUSR | S_IWUSR);
    if (descriptor_ < 0) give_up(fmt::format("cannot be created: {}", system_message(errno)));
    if (!is_own_file()) give_up("is not a regular file owned by this user; remove it");
    if (lock(LOCK_EX) && is_recorded()) remove_program_files(directory_, blob_files_);
    if (lock(LOCK_SH)) {
      if (is_recorded()) {
        hold_ = Hold::shared;
        return;
      }
    } else if (errno != EWOULDBLOCK) {
      give_up(fmt::format("cannot be locked: {}", system_message(errno)));
    }
    ::close(descriptor_);  // another process is removing the record, or removed it between our open and our lock
    std::this_thread::sleep_for(kPause);
  }
  descriptor_ = -1;
  give_up("is locked by another process that uses the same program; run one after the other");
}

ProgramClaim::ProgramClaim(const fs::path& directory, Abandoned /*tag*/)
    : directory_(directory), file_(record_of(directory)), descriptor_(::open(file_.c_str(), kOpenRecord)) {
  if (descriptor_ >= 0 && is_own_file() && lock(LOCK_EX) && is_recorded()) hold_ = Hold::alone;
}

ProgramClaim::~ProgramClaim() {
  if (take_over()) {
    remove_program_files(directory_, blob_files_);
    if (!record_stays_) ::unlink(file_.c_str());
  }
  if (descriptor_ >= 0) ::close(descriptor_);
}

bool ProgramClaim::take_over() noexcept {
  // Converting a lock is not atomic: meanwhile another process may take over and remove the record; if the conversion
  // fails, the lock is lost.
  if (hold_ == Hold::shared) hold_ = lock(LOCK_EX) && is_recorded() ? Hold::alone : Hold::none;
  return hold_ == Hold::alone;
}

bool ProgramClaim::lock(int operation) const noexcept {
  int result = 0;
  do result = ::flock(descriptor_, operation | LOCK_NB);
  while (result != 0 && errno == EINTR);
  return result == 0;
}

bool ProgramClaim::is_recorded() const noexcept {
  struct stat status {};
  return ::fstat(descriptor_, &status) == 0 && status.st_nlink > 0;
}

bool ProgramClaim::is_own_file() const noexcept {
  struct stat status {};
  return ::fstat(descriptor_, &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == ::geteuid();
}

void remove_abandoned_programs(const fs::path& directory,
                               const std::function<bool(const std::string& identifier)>& purge) noexcept try {
  std::vector<std::string> identifiers;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory)) {
    std::string name = entry.path().filename().string();
    if (!name.ends_with(ProgramClaim::kSuffix)) continue;
    name.resize(name.size() - ProgramClaim::kSuffix.size());
    if (is_program_identifier(name)) identifiers.push_back(std::move(name));
  }
  for (const std::string& identifier : identifiers) {
    ProgramClaim claim(directory / identifier, ProgramClaim::Abandoned{});
    if (claim.hold_ == ProgramClaim::Hold::alone && !purge(identifier)) claim.keep_record();
  }
} catch (const std::exception&) {
  // Nothing depends on it, and the system eventually cleans its directory for temporary files.
}

}  // namespace ane::device::apple
