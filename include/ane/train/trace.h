#pragma once

#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "ane/model/model.h"
#include "ane/train/append_file.h"
#include "ane/train/observer.h"

namespace ane::train {

/// Writes a run as a trace that ui.perfetto.dev and chrome://tracing show: compile rounds, steps, updates, validations
/// and restarts, inside them the kernels and parts that the model tells of, on their threads, and checkpoints beside.
/// It is the JSON array of the Trace Event Format, complete ("X") events in microseconds of the monotonic clock:
/// https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
/// Written to after every step. Viewers also read it without its closing bracket, as a killed run leaves it.
class Trace final : public Observer, public model::SpanListener {
 public:
  /// What is in `path` goes, unless the process before handed over the descriptor() of its trace, which this one goes
  /// on with. Throws FileError if `path` cannot be written; if that happens later, `warn` is told once and the run goes
  /// on.
  Trace(const std::filesystem::path& path, AppendFile::Warn warn, std::optional<int> handed_over = {});
  /// Closes the array. A process that is replaced does not come here.
  ~Trace() override;
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  /// For the hand-off, as long as the file can be written.
  [[nodiscard]] std::optional<int> descriptor() const noexcept { return file_.descriptor(); }

  void on_span(std::string_view name, Clock::time_point begin, Clock::time_point end) noexcept override;
  void on_compile(const CompileEvent& event) override;
  void on_weights(const WeightsEvent& event) override;
  void on_step(const StepEvent& event) override;
  void on_update(const UpdateEvent& event) override;
  void on_validation(const ValidationEvent& event) override;
  void on_checkpoint(const CheckpointEvent& event) override;
  void on_restart(const RestartEvent& event) override;
  void on_resume(const ResumeEvent& event) override;

 private:
  /// Something that ends now, took `time` and holds this thread's phases since the last such span. `values`: JSON
  /// members to show with it.
  void close_span(std::string_view name, Duration time, std::string_view values);
  void add_span(std::string_view name, int thread, Clock::time_point begin, Clock::time_point end,
                std::string_view values = {});
  void add_name(std::string_view kind, int thread, std::string_view name);
  void separate();
  void flush();
  int thread_number();

  std::mutex mutex_;
  AppendFile file_;
  std::string unwritten_;
  std::map<std::thread::id, int> threads_;
  bool checkpoints_named_ = false;
  std::thread::id main_ = std::this_thread::get_id();
  Clock::time_point last_end_ = Clock::now();     ///< of the main thread's last span
  std::optional<Clock::time_point> first_phase_;  ///< of the main thread since then
  Duration step_time_{};                          ///< of steps side by side, told of one by one
};

}  // namespace ane::train
