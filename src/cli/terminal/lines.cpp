#include "ane/cli/lines.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "ane/cli/text.h"
#include "ane/text/printable.h"
#include "ane/train/optimizer.h"

namespace ane::cli {
namespace {

double ms(train::Duration time) { return std::chrono::duration<double, std::milli>(time).count(); }

std::string millions(std::size_t count) { return fmt::format("{:.2f}M", static_cast<double>(count) / 1e6); }

/// "43487M", with decimals for small models, which would otherwise show 0M.
std::string mflops(double flops) { return fmt::format("{:.{}f}M", flops / 1e6, flops < 1e8 ? 2 : 0); }

}  // namespace

std::string trained_text(const model::ModelSummary& summary) {
  const std::size_t all = summary.transformer_parameters + summary.embedding_parameters;
  if (summary.trained_parameters == all) return {};
  return fmt::format("{} of {} parameters ({:.2f}%)", millions(summary.trained_parameters), millions(all),
                     100 * static_cast<double>(summary.trained_parameters) / static_cast<double>(all));
}

std::vector<std::string> size_lines(const model::Model& model, std::span<const model::KernelInfo> kernels) {
  int weighted = 0;
  int fixed = 0;
  for (const model::KernelInfo& kernel : kernels) {
    weighted += kernel.recompiled;
    fixed += kernel.copies - kernel.recompiled;
  }
  const model::ModelSummary summary = model.summary();
  std::vector<std::string> lines = {
      model::dashboard_line(model.config()),
      fmt::format("Params: {} (transformer {} + embed {})",
                  millions(summary.transformer_parameters + summary.embedding_parameters),
                  millions(summary.transformer_parameters), millions(summary.embedding_parameters)),
      fmt::format("Kernels: {} ({} weight-bearing + {} static)", weighted + fixed, weighted, fixed),
  };
  if (const std::string text = trained_text(summary); !text.empty()) lines.push_back(fmt::format("Trained: {}", text));
  return lines;
}

// Dashboards know five numbers, in this order; the classifier comes after them.
std::vector<std::string> flops_lines(const model::Flops& flops) {
  return {fmt::format("FLOPs/step: fwd={} bwd_dx={} bwd_dW={} sdpa_bwd={} total={} cls={}", mflops(flops.forward),
                      mflops(flops.backward_dx), mflops(flops.backward_dw), mflops(flops.sdpa_backward),
                      mflops(flops.total()), mflops(flops.classifier)),
          fmt::format("ANE FLOPs/step: {}", mflops(flops.on_device()))};
}

std::vector<std::string> header_lines(const model::Model& model, std::span<const model::KernelInfo> kernels,
                                      const Settings& settings) {
  std::vector<std::string> lines = size_lines(model, kernels);
  const train::OptimizerKind kind = settings.optimizer.kind;
  lines.push_back(fmt::format("Accum {} steps per recompile | {} LR={:.1e}", settings.accum_steps,
                              kind == train::OptimizerKind::adamw ? "Adam" : train::optimizer_info(kind).title,
                              settings.optimizer.lr));
  for (std::string& line : flops_lines(model.summary().flops_per_step)) lines.push_back(std::move(line));
  return lines;
}

std::string data_line(const data::Source& source) {
  std::string line = fmt::format("Data: {}", source.description());
  if (const auto floor = source.loss_floor()) line += fmt::format("; loss floor {:.4f}", *floor);
  return line;
}

std::string compiled_line(const train::CompileEvent& event) {
  using Kind = train::CompileEvent::Kind;
  std::string line = fmt::format("Compiled {} kernels in {:.0f}ms", event.kernels, ms(event.time));
  if (event.kind == Kind::ahead) line += fmt::format(", waited {:.0f}ms", ms(event.waited));
  return line;
}

std::string step_line(const train::StepEvent& event) {
  return fmt::format("step {:<4} loss={:.4f} lr={:.1e} {:.1f}ms/step", event.step, signless(event.loss), event.lr,
                     ms(event.time));
}

std::string batch_line(const train::UpdateEvent& event) {
  return fmt::format("[batch {}: compile={:.0f}ms train={:.1f}ms ({:.1f}ms/step) compiles={}]", event.steps_in_batch,
                     ms(event.compile), ms(event.train), ms(event.train) / event.steps_in_batch, event.compiles);
}

std::string breakdown_line(const train::UpdateEvent& event) {
  const auto per_step = [&](train::Duration time) { return ms(time) / event.steps_in_batch; };
  return fmt::format("ane={:.1f} io={:.1f} cls={:.1f} elem={:.1f} rms={:.1f} cblas_wait={:.1f} ms/step",
                     per_step(event.parts.ane), per_step(event.parts.io), per_step(event.parts.classifier),
                     per_step(event.parts.elementwise), per_step(event.parts.rms_norm),
                     per_step(event.parts.blas_wait));
}

std::string validation_line(const train::ValidationEvent& event) {
  return fmt::format("[val update {}: loss={:.4f} over {} sequences in {:.0f}ms]", event.update, signless(event.loss),
                     event.samples, ms(event.time));
}

std::string text_sample_lines(const train::TextSampleEvent& event) {
  constexpr std::string_view kMark = "\n  | ";
  std::string lines = fmt::format("[sample update {}: {} tokens in {:.0f}ms]{}", event.update, event.sample.tokens,
                                  ms(event.time), kMark);
  for (const char byte : text::printable(event.sample.prompt + event.sample.text)) {
    if (byte == '\n') {
      lines += kMark;
    } else {
      lines += byte;
    }
  }
  return lines;
}

std::string checkpoint_line(const train::CheckpointEvent& event) {
  return fmt::format("[checkpoint step {}: {} in {:.0f}ms]", event.step, event.path.string(), ms(event.time));
}

std::string restart_line(const train::RestartEvent& event) {
  return fmt::format("[exec() restart step {}, {} compiles, loss={:.4f}]", event.step, event.compiles,
                     signless(event.loss));
}

std::string resumed_line(const train::ResumeEvent& event) {
  return fmt::format("[RESUMED step {}, loss={:.4f}]", event.step, signless(event.loss));
}

std::string progress_bar(const BarState& state, int columns) {
  if (state.steps == 0)
    return bar_with(fmt::format(" {} loss {:.4f} {:.1f} ms/step", state.step, signless(state.loss), state.ms_per_step),
                    0, columns);
  const double part = static_cast<double>(state.step) / static_cast<double>(state.steps);
  const double seconds_left = static_cast<double>(state.steps - state.step) * state.ms_per_step / 1000;
  const std::string text = fmt::format(" {}/{} loss {:.4f} {:.1f} ms/step {} left", state.step, state.steps,
                                       signless(state.loss), state.ms_per_step, clock_text(seconds_left));
  return bar_with(text, part, columns);
}

std::string bar_with(const std::string& text, double part, int columns) {
  const int width = std::min(30, columns - 1 - static_cast<int>(text.size()) - 2);  // the last column would wrap
  if (width < 5) return text.substr(1, static_cast<std::size_t>(std::max(0, columns - 1)));
  const auto filled = static_cast<int>(std::lround(std::clamp(part, 0.0, 1.0) * width));
  return fmt::format("[{:=<{}}{:<{}}]{}", "", filled, "", width - filled, text);
}

}  // namespace ane::cli
