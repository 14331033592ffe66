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

/// Writes a run as a trace for ui.perfetto.dev and chrome://tracing: compile rounds, steps, updates, validations and
/// restarts, within them the kernels and parts that the model reports, on their threads, and checkpoints. The format is
/// the JSON array of the Trace Event Format, with complete ("X") events in microseconds of the monotonic clock:
/// https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
/// Written after every step. Viewers also accept the file without its closing bracket, which a killed run lacks.
class Trace final : public Observer, public model::SpanListener {
 public:
  /// Overwrites `path`, unless the previous process passed the descriptor() of its trace, which is then continued.
  /// Throws FileError if `path` cannot be written; if a later write fails, `warn` is called once and the run continues.
  Trace(const std::filesystem::path& path, AppendFile::Warn warn, std::optional<int> handed_over = {});
  /// Closes the array. Not called in a process that is replaced.
  ~Trace() override;
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  /// Descriptor for the restart, unless writing has failed.
  [[nodiscard]] std::optional<int> descriptor() const noexcept { return file_.descriptor(); }

  void on_span(std::string_view name, Clock::time_point begin, Clock::time_point end) noexcept override;
  void on_compile(const CompileEvent& event) override;
  void on_weights(const WeightsEvent& event) override;
  void on_step(const StepEvent& event) override;
  void on_update(const UpdateEvent& event) override;
  void on_validation(const ValidationEvent& event) override;
  void on_text_sample(const TextSampleEvent& event) override;
  void on_checkpoint(const CheckpointEvent& event) override;
  void on_restart(const RestartEvent& event) override;
  void on_resume(const ResumeEvent& event) override;

 private:
  /// Writes a span that ends now, took `time` and contains this thread's phases since the last such span. `values`:
  /// JSON members to show with it.
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
  Clock::time_point last_end_ = Clock::now();     ///< end of the main thread's last span
  std::optional<Clock::time_point> first_phase_;  ///< first phase of the main thread since then
  Duration step_time_{};                          ///< of concurrent steps, which are reported one by one
};

}  // namespace ane::train
