#include "ane/cli/lines.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <limits>
#include <string_view>
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

std::string sparkline(std::span<const double> losses) {
  static constexpr std::array kBlocks = {"\u2581", "\u2582", "\u2583", "\u2584",
                                         "\u2585", "\u2586", "\u2587", "\u2588"};
  if (losses.size() < 2) return {};
  double low = std::numeric_limits<double>::infinity();
  double high = -low;
  for (const double loss : losses) {
    if (!std::isfinite(loss)) continue;
    low = std::min(low, loss);
    high = std::max(high, loss);
  }
  std::string line;
  for (const double loss : losses) {
    const double height = high > low ? (loss - low) / (high - low) : 0;
    line += std::isfinite(loss) ? kBlocks[static_cast<std::size_t>(std::lround(height * (kBlocks.size() - 1)))] : " ";
  }
  return line;
}

namespace {

/// Columns of a UTF-8 text without wide characters: its bytes that begin a character.
int columns_of(std::string_view text) {
  return static_cast<int>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

/// A text of the progress bar; those with the highest rank are omitted first.
struct BarText {
  int rank;
  std::string text;
};

std::vector<BarText> bar_texts(const BarState& state) {
  const bool knows_steps = state.steps > 0;
  const double tokens_per_second = state.ms_per_step > 0 ? 1000 * state.tokens_per_step / state.ms_per_step : 0;
  const double seconds_left = static_cast<double>(state.steps - state.step) * state.ms_per_step / 1000;
  return {{0, knows_steps ? fmt::format("{}/{}", state.step, state.steps) : fmt::format("{}", state.step)},
          {1, fmt::format("loss {:.4f}", signless(state.loss))},
          {4, sparkline(state.recent_losses)},
          {3, tokens_per_second > 0 ? fmt::format("{} tok/s", count_text(tokens_per_second)) : ""},
          {2, knows_steps ? fmt::format("{} left", clock_text(seconds_left)) : ""}};
}

/// The texts that are not empty and whose rank is below `rank`, each after a space.
std::string joined(std::span<const BarText> texts, int rank) {
  std::string line;
  for (const BarText& text : texts)
    if (text.rank < rank && !text.text.empty()) line += " " + text.text;
  return line;
}

}  // namespace

std::string progress_bar(const BarState& state, int columns) {
  const std::vector<BarText> texts = bar_texts(state);
  auto rank = static_cast<int>(texts.size());
  while (rank > 0 && columns_of(joined(texts, rank)) > columns) --rank;  // the first space is shown only after a bar
  const double part = state.steps > 0 ? static_cast<double>(state.step) / static_cast<double>(state.steps) : 0;
  return bar_with(joined(texts, rank), part, columns);
}

std::string bar_with(const std::string& text, double part, int columns) {
  constexpr int kBrackets = 2;
  const int width = std::min(30, columns - 1 - columns_of(text) - kBrackets);  // the last column would wrap
  if (width < 5) {
    const std::string_view shown = std::string_view(text).substr(text.empty() ? 0 : 1);
    return std::string(
        columns_of(shown) < columns ? shown : shown.substr(0, static_cast<std::size_t>(std::max(0, columns - 1))));
  }
  const auto filled = static_cast<int>(std::lround(std::clamp(part, 0.0, 1.0) * width));
  return fmt::format("[{:=<{}}{:<{}}]{}", "", filled, "", width - filled, text);
}

}  // namespace ane::cli
