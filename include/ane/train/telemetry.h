#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "ane/model/model.h"
#include "ane/train/append_file.h"
#include "ane/train/observer.h"
#include "ane/train/options.h"
#include "ane/train/report.h"

namespace ane::train {

/// Content of the `run` record: model, data, settings.
struct RunDescription {
  std::uint64_t run_id = 0;
  std::string version;
  Progress start;  ///< of a resumed run: the checkpoint's
  model::ModelConfig model;
  std::string device;
  std::string data;
  std::uint64_t seed = 0;
  int threads = 0;
  int ranks = 1;
  std::optional<int> max_compiles{};  ///< of a process; nullopt: no limit
  TrainOptions options;
};

/// The work of one step, and the rate that it is compared with.
struct StepCost {
  std::size_t tokens = 0;
  model::Flops flops;
  std::optional<double> peak_tflops{};  ///< Device::peak_tflops
};

/// Writes a run as JSON lines, which docs/telemetry.md describes: `run`, `adapted`, `step`, `batch`, `perf`, `ranks`,
/// `update`, `restart`, `resume`, `checkpoint`, `val`, `sample` and `end` records. Durations are in milliseconds;
/// non-finite numbers are null. Each line is appended with one write, so it stays complete when the process is replaced
/// or killed. An incomplete record of a killed process is removed first; any other unterminated line is terminated.
class Telemetry final : public Observer {
 public:
  /// Throws FileError if `path` cannot be opened for appending. If a later write fails, `warn` is called once and the
  /// run continues without telemetry. `handed_over`: descriptor() of the previous process.
  Telemetry(const std::filesystem::path& path, const StepCost& step_cost, AppendFile::Warn warn,
            std::optional<int> handed_over = {});

  /// Descriptor for the restart, unless writing has failed.
  [[nodiscard]] std::optional<int> descriptor() const noexcept { return file_.descriptor(); }

  /// Called once per run, in its first process.
  void run(const RunDescription& description);
  /// A choice that follows from what is known about the machine. Called after run().
  void adapted(const Progress& progress, const std::string& what, const std::string& value, const std::string& reason);
  /// Called once per run, in its last process; `outcome` is "finished", "interrupted" or an error message.
  void end(const std::string& outcome, const Progress& progress, const RunReport& report);

  void on_step(const StepEvent& event) override;
  void on_update(const UpdateEvent& event) override;
  void on_validation(const ValidationEvent& event) override;
  void on_text_sample(const TextSampleEvent& event) override;
  void on_checkpoint(const CheckpointEvent& event) override;
  void on_restart(const RestartEvent& event) override;
  void on_resume(const ResumeEvent& event) override;

 private:
  [[nodiscard]] std::int64_t tokens(std::int64_t steps) const noexcept;

  AppendFile file_;
  StepCost step_cost_;
};

}  // namespace ane::train
