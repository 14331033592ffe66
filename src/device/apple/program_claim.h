#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace ane::device::apple {

/// A process's claim on a program: a shared lock on a file beside the program's directory. The system releases the lock
/// when the process ends, also at exec and kill; the file stays and records that the program may be in the daemon's
/// cache (ane.md L10).
class ProgramClaim {
 public:
  /// Adds this process to the program's users. If only dead processes used `directory`, its contents are removed;
  /// `blob_files` are the blobs' relative paths in it. Throws DeviceError if the file cannot be created or locked, or
  /// if another process takes more than seconds to release the program.
  explicit ProgramClaim(const std::filesystem::path& directory, std::vector<std::filesystem::path> blob_files = {});
  /// Releases the claim. If no other process uses the program, its files are removed, and the record unless it is kept.
  ~ProgramClaim();
  ProgramClaim(const ProgramClaim&) = delete;
  ProgramClaim& operator=(const ProgramClaim&) = delete;

  /// Makes this the only claim, so that no other process can join before it is released. Returns false if other
  /// processes use the program; the claim is then released, and the cleanup is left to them.
  [[nodiscard]] bool take_over() noexcept;
  /// Keeps the record for a later process, because the program is still in the daemon's cache.
  void keep_record() noexcept { record_stays_ = true; }

  static constexpr std::string_view kSuffix = ".ane-train-lock";

 private:
  friend void remove_abandoned_programs(const std::filesystem::path&,
                                        const std::function<bool(const std::string&)>&) noexcept;
  /// Selects the constructor that takes over a record without a lock and leaves others alone.
  struct Abandoned {};
  ProgramClaim(const std::filesystem::path& directory, Abandoned /*tag*/);

  /// Returns false if another process holds the lock, or on an error in errno.
  [[nodiscard]] bool lock(int operation) const noexcept;
  [[nodiscard]] bool is_recorded() const noexcept;
  [[nodiscard]] bool is_own_file() const noexcept;

  std::filesystem::path directory_;
  std::filesystem::path file_;
  std::vector<std::filesystem::path> blob_files_;
  int descriptor_ = -1;
  bool record_stays_ = false;
  enum class Hold { shared, alone, none } hold_ = Hold::none;
};

/// Removes the files of programs in `directory` that no living process uses, and calls `purge` with the identifier of
/// each. Its record is removed as well, unless `purge` returns false, because then the program may still be in the
/// daemon's cache. Entries that do not have the name of a record, belong to another user, or are not regular files are
/// left alone.
void remove_abandoned_programs(const std::filesystem::path& directory,
                               const std::function<bool(const std::string& identifier)>& purge) noexcept;

}  // namespace ane::device::apple
