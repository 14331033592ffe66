#include "ane/train/telemetry.h"

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include "ane/core/error.h"

namespace ane::train {

namespace {

/// Keeps fields in the order that they are written in here.
using Record = nlohmann::ordered_json;

constexpr std::size_t kLongestRecord = 65536;
constexpr std::string_view kRecordStart = "{\"type\":";

double ms(Duration time) { return static_cast<double>(time.count()) / 1e6; }
double ms(std::int64_t ns) { return ms(Duration(ns)); }

std::string line(const Record& record) { return record.dump(-1, ' ', false, Record::error_handler_t::replace) + '\n'; }

std::string system_text(int error) { return std::generic_category().message(error); }

Record optimizer_record(const OptimizerOptions& options) {
  return {{"kind", options.kind == OptimizerKind::adamw ? "adamw" : "sgd"},
          {"lr", options.lr},
          {"min_lr", options.min_lr},
          {"warmup", options.warmup},
          {"schedule", options.schedule == ScheduleKind::constant ? "constant" : "cosine"},
          {"beta1", options.beta1},
          {"beta2", options.beta2},
          {"eps", options.eps},
          {"weight_decay", options.weight_decay},
          {"grad_clip", options.grad_clip}};
}

Record rates_record(const Rates& rates, bool on_ane, double ane_peak_tflops) {
  if (!on_ane) return {{"host_tflops", rates.total}};
  return {{"ane_tflops", rates.device}, {"ane_util_pct", 100 * rates.device / ane_peak_tflops}};
}

/// The last line of a file if it lacks its end, because whoever wrote it died. Only regular files can tell.
std::string unfinished_line(const std::filesystem::path& path, int descriptor) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size == 0) return {};
  const Descriptor reader(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string end(std::min<std::size_t>(kLongestRecord, static_cast<std::size_t>(status.st_size)), '\0');
  if (!reader || ::pread(reader.get(), end.data(), end.size(), status.st_size - static_cast<off_t>(end.size())) < 0)
    return {};
  return end.substr(end.rfind('\n') + 1);
}

/// Cuts off what a killed process wrote of a record; ends what is none of ours.
void mend_end(const std::filesystem::path& path, int descriptor) {
  const std::string line = unfinished_line(path, descriptor);
  if (line.empty()) return;
  struct stat status {};
  const bool is_record = line.starts_with(kRecordStart.substr(0, line.size()));
  if (is_record && ::fstat(descriptor, &status) == 0)
    static_cast<void>(::ftruncate(descriptor, status.st_size - static_cast<off_t>(line.size())) == 0);
  else
    static_cast<void>(::write(descriptor, "\n", 1) == 1);
}

}  // namespace

Telemetry::Telemetry(const std::filesystem::path& path, const model::Flops& flops_per_step, bool on_ane, Warn warn)
    : path_(path),
      file_(::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666)),
      flops_per_step_(flops_per_step),
      on_ane_(on_ane),
      warn_(std::move(warn)) {
  if (!file_)
    throw FileError(fmt::format("{}: the telemetry file cannot be written: {}", path.string(), system_text(errno)));
  mend_end(path, file_.get());
}

void Telemetry::write(const std::string& text) {
  if (!file_) return;
  ssize_t written = 0;
  do {
    written = ::write(file_.get(), text.data(), text.size());
  } while (written < 0 && errno == EINTR);
  if (written == static_cast<ssize_t>(text.size())) return;
  const std::string reason = written < 0 ? system_text(errno) : "only part of a line could be written";
  file_ = Descriptor();
  warn_(fmt::format("{}: {}; the run goes on without telemetry", path_.string(), reason));
}

void Telemetry::run(const RunDescription& description) {
  const TrainOptions& options = description.options;
  write(line({{"type", "run"},
              {"version", description.version},
              {"model", description.model},
              {"device", description.device},
              {"data", description.data},
              {"seed", description.seed},
              {"threads", description.threads},
              {"max_compiles", description.max_compiles},
              {"steps", options.steps},
              {"accum_steps", options.accum_steps},
              {"optimizer", optimizer_record(options.optimizer)}}));
}

void Telemetry::end(const std::string& outcome, const Progress& progress, const RunReport& report) {
  const RunTotals& totals = report.totals;
  Record record = {{"type", "end"},
                   {"outcome", outcome},
                   {"step", progress.step},
                   {"updates", progress.update},
                   {"skipped_updates", totals.skipped_updates},
                   {"loss", progress.last_loss},
                   {"wall_ms", ms(report.wall_ns)},
                   {"startup_ms", ms(totals.startup_ns)},
                   {"compile_ms", ms(totals.compile_ns)},
                   {"hidden_compile_ms", ms(totals.hidden_compile_ns)},
                   {"weights_ms", ms(totals.weights_ns)},
                   {"train_ms", ms(totals.train_ns)},
                   {"validation_ms", ms(totals.validation_ns)},
                   {"checkpoint_ms", ms(totals.checkpoint_ns)},
                   {"restart_ms", ms(totals.restart_ns)},
                   {"restarts", totals.restarts},
                   {"compiles", totals.compiles},
                   {"compile_rounds", totals.compile_rounds},
                   {"reload_rounds", totals.reloads},
                   {"surfaces_created", totals.surfaces_created},
                   {"surfaces_reused", totals.surfaces_reused},
                   {"surfaces_released", totals.surfaces_released},
                   {"peak_memory_bytes", totals.peak_memory_bytes}};
  const Rates rates = sustained_rates(report.flops_per_step, totals.steps, totals.train_ns);
  record.update(rates_record(rates, report.on_ane, report.ane_peak_tflops));
  write(line(record));
}

void Telemetry::on_step(const StepEvent& event) {
  write(line({{"type", "step"},
              {"step", event.step},
              {"loss", event.loss},
              {"t_ane", ms(event.parts.ane)},
              {"t_io", ms(event.parts.io)},
              {"t_cls", ms(event.parts.classifier)},
              {"t_elem", ms(event.parts.elementwise)},
              {"t_rms", ms(event.parts.rms_norm)},
              {"t_cblas_wait", ms(event.parts.blas_wait)},
              {"compiles", event.compiles}}));
}

void Telemetry::on_update(const UpdateEvent& event) {
  Record update = {{"type", "update"},
                   {"update", event.update},
                   {"step", event.step},
                   {"loss", event.mean_loss},
                   {"lr", event.lr},
                   {"grad_norm", event.grad_norm},
                   {"loss_scale", event.loss_scale},
                   {"skipped", event.skipped.has_value()}};
  if (event.skipped) update["reason"] = *event.skipped;
  if (event.weights.count() > 0) update["weights_ms"] = ms(event.weights);
  write(line(update));
  write(line({{"type", "batch"},
              {"batch", event.steps_in_batch},
              {"compile_ms", ms(event.compile)},
              {"train_ms", ms(event.train)},
              {"ms_per_step", ms(event.train) / event.steps_in_batch}}));
  Record perf = {{"type", "perf"}};
  perf.update(rates_record(sustained_rates(flops_per_step_, event.steps_in_batch, event.train.count()), on_ane_,
                           RunReport::kAnePeakTflops));
  write(line(perf));
}

void Telemetry::on_validation(const ValidationEvent& event) {
  write(line({{"type", "val"},
              {"update", event.update},
              {"loss", event.loss},
              {"samples", event.samples},
              {"ms", ms(event.time)}}));
}

void Telemetry::on_checkpoint(const CheckpointEvent& event) {
  write(line({{"type", "checkpoint"}, {"step", event.step}, {"path", event.path.string()}, {"ms", ms(event.time)}}));
}

void Telemetry::on_restart(const RestartEvent& event) {
  write(line({{"type", "restart"}, {"step", event.step}, {"compiles", event.compiles}, {"loss", event.loss}}));
}

void Telemetry::on_resume(const ResumeEvent& event) {
  write(line({{"type", "resume"},
              {"step", event.step},
              {"loss", event.loss},
              {"from_checkpoint", event.from_checkpoint},
              {"ms", ms(event.time)}}));
}

}  // namespace ane::train
