#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "ane/mil/blob.h"

namespace ane::device::apple {

/// A process's claim on a program: a lock on a file beside the program's directory, which several processes that work
/// with the very same program share. The system drops the lock with the process, also at exec and kill; the file stays
/// and records that the program may lie in the daemon's cache (ane.md L10).
class ProgramClaim {
 public:
  /// Joins those that hold the program. What only dead processes left in `directory` is removed. Throws DeviceError if
  /// the file cannot be made, or if another process takes more than seconds to give the program up.
  explicit ProgramClaim(const std::filesystem::path& directory);
  /// Gives the claim up. If no other process holds the program, its directory and the record go.
  ~ProgramClaim();
  ProgramClaim(const ProgramClaim&) = delete;
  ProgramClaim& operator=(const ProgramClaim&) = delete;

  /// Makes this the only claim, so that nobody can join before it is gone. False if others hold the program; the claim
  /// is then given up, and what is left to do is theirs.
  [[nodiscard]] bool take_over() noexcept;

  static constexpr std::string_view kSuffix = ".ane-train-lock";

 private:
  friend void remove_abandoned_programs(const std::filesystem::path&,
                                        const std::function<void(const std::string&)>&) noexcept;
  /// A record that nobody holds is taken over, any other left alone.
  struct Abandoned {};
  ProgramClaim(const std::filesystem::path& directory, Abandoned /*tag*/);

  [[nodiscard]] bool lock(int operation) noexcept;
  [[nodiscard]] bool is_recorded() const noexcept;

  std::filesystem::path directory_;
  std::filesystem::path file_;
  int descriptor_ = -1;
  enum class Hold { shared, alone, none } hold_ = Hold::none;
};

/// The directory in which Apple's compiler looks for a program: model.mil and its blob files (ane.md 1.3). It goes when
/// the last process that holds the program gives it up; the framework deletes it earlier, when any of them unloads it.
class ModelDirectory {
 public:
  /// Writes the files, unless another process has. Throws DeviceError if they cannot be written.
  ModelDirectory(std::filesystem::path path, std::string_view mil_text, const mil::Blobs& weights);

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  /// Writes the files again if they are gone; false if they were all there. Throws DeviceError.
  [[nodiscard]] bool restore(std::string_view mil_text, const mil::Blobs& weights) const;
  /// As ProgramClaim's.
  [[nodiscard]] bool take_over() noexcept { return claim_.take_over(); }
  /// Whether the files are there and hold just this.
  [[nodiscard]] bool holds(std::string_view mil_text, const mil::Blobs& weights) const;

 private:
  void populate(std::string_view mil_text, const mil::Blobs& weights) const;

  std::filesystem::path path_;
  ProgramClaim claim_;
};

/// Removes the model directories and records in `directory` of programs that no living process holds, and calls `purge`
/// with the identifier of each.
void remove_abandoned_programs(const std::filesystem::path& directory,
                               const std::function<void(const std::string& identifier)>& purge) noexcept;

/// Where in the directory a blob lies: its key without "@model_path/". Throws CompileError for a key that has another
/// form or leads out of the directory.
[[nodiscard]] std::filesystem::path blob_file(std::string_view key);

}  // namespace ane::device::apple
