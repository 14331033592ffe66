#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "ane/model/model.h"
#include "ane/train/append_file.h"
#include "ane/train/observer.h"
#include "ane/train/options.h"
#include "ane/train/report.h"

namespace ane::train {

/// The `run` record: what is trained, on what, how.
struct RunDescription {
  std::string version;
  std::string model;  ///< dimensions line
  std::string device;
  std::string data;
  std::uint64_t seed = 0;
  int threads = 0;
  int max_compiles = 0;
  TrainOptions options;
};

/// Writes a run as JSON lines: `run`, `step`, `batch`, `perf`, `update`, `restart`, `resume`, `checkpoint`, `val` and
/// `end` records. Times are milliseconds; numbers that are not finite are null. Lines are appended, each with one write
/// to a descriptor opened for appending, so they stay whole when the process is replaced or killed. What a killed
/// process wrote of a record is cut off first; another line without its end is ended.
class Telemetry final : public Observer {
 public:
  /// Throws FileError if `path` cannot be opened for appending. If a line cannot be written later, `warn` is told once
  /// and the run goes on without telemetry. `on_ane` says which rates the perf records give.
  /// `handed_over`: descriptor() of the process before.
  Telemetry(const std::filesystem::path& path, const model::Flops& flops_per_step, bool on_ane, AppendFile::Warn warn,
            std::optional<int> handed_over = {});

  /// For the hand-off, as long as the file can be written.
  [[nodiscard]] std::optional<int> descriptor() const noexcept { return file_.descriptor(); }

  /// Once a run, from its first process.
  void run(const RunDescription& description);
  /// Once a run, from its last process; `outcome` is "finished", "interrupted" or what went wrong.
  void end(const std::string& outcome, const Progress& progress, const RunReport& report);

  void on_step(const StepEvent& event) override;
  void on_update(const UpdateEvent& event) override;
  void on_validation(const ValidationEvent& event) override;
  void on_checkpoint(const CheckpointEvent& event) override;
  void on_restart(const RestartEvent& event) override;
  void on_resume(const ResumeEvent& event) override;

 private:
  AppendFile file_;
  model::Flops flops_per_step_;
  bool on_ane_;
};

}  // namespace ane::train
