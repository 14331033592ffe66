#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace ane::device::apple {

/// A process's claim on a program: a lock on a file beside the program's directory, which several processes that work
/// with the very same program share. The system drops the lock with the process, also at exec and kill; the file stays
/// and records that the program may lie in the daemon's cache (ane.md L10).
class ProgramClaim {
 public:
  /// Joins those that hold the program. What only dead processes left in `directory` is removed; `blob_files` are the
  /// blobs' places in it. Throws DeviceError if the file cannot be made or locked, or if another process takes more
  /// than seconds to give the program up.
  explicit ProgramClaim(const std::filesystem::path& directory, std::vector<std::filesystem::path> blob_files = {});
  /// Gives the claim up. If no other process holds the program, its files go, and the record unless it is kept.
  ~ProgramClaim();
  ProgramClaim(const ProgramClaim&) = delete;
  ProgramClaim& operator=(const ProgramClaim&) = delete;

  /// Makes this the only claim, so that nobody can join before it is gone. False if others hold the program; the claim
  /// is then given up, and what is left to do is theirs.
  [[nodiscard]] bool take_over() noexcept;
  /// The program still lies in the daemon's cache: a later process is to find the record.
  void keep_record() noexcept { record_stays_ = true; }

  static constexpr std::string_view kSuffix = ".ane-train-lock";

 private:
  friend void remove_abandoned_programs(const std::filesystem::path&,
                                        const std::function<bool(const std::string&)>&) noexcept;
  /// A record that nobody holds is taken over, any other left alone.
  struct Abandoned {};
  ProgramClaim(const std::filesystem::path& directory, Abandoned /*tag*/);

  /// False if another process is in the way or errno says why not.
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

/// Removes the files of programs in `directory` that no living process holds, and calls `purge` with the identifier of
/// each. Its record goes as well, unless `purge` returns false: then the program may still lie in the daemon's cache.
/// Everything that has not the name of a record, belongs to another user, or is no regular file is left alone.
void remove_abandoned_programs(const std::filesystem::path& directory,
                               const std::function<bool(const std::string& identifier)>& purge) noexcept;

}  // namespace ane::device::apple
