#include "ane/app/eval_command.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <numbers>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "ane/app/adapter_option.h"
#include "ane/app/compose.h"
#include "ane/app/known_engine.h"
#include "ane/app/model_choice.h"
#include "ane/app/model_source.h"
#include "ane/app/option_values.h"
#include "ane/app/plan.h"
#include "ane/app/shared_settings.h"
#include "ane/cli/settings.h"
#include "ane/cli/terminal.h"
#include "ane/core/error.h"
#include "ane/core/mapped_memory.h"
#include "ane/model/frozen_parameters.h"
#include "ane/model/models.h"
#include "ane/model/parameter_reader.h"
#include "ane/train/evaluation.h"

namespace ane::app {
namespace {

constexpr std::array kEvalSettings = {
    SharedSetting{"model",
                  "the model: a Hugging Face model directory, a checkpoint's directory, a .safetensors file, or "
                  "llama2.c's .bin"},
    SharedSetting{"data",
                  "what to evaluate it on: text (.txt), records (.jsonl) or tokens (.bin): files separated by commas, "
                  "or a directory; -: standard input; synthetic: a Markov chain"},
    SharedSetting{"data-format"},
    SharedSetting{"tokenizer",
                  "tokenizer for text and records; default: the one beside the model, or bytes if there is none"},
    SharedSetting{"end-token"},
    SharedSetting{"mask-prompt"},
    SharedSetting{"skip-bad-records"},
    SharedSetting{"seq", "tokens per sequence [the model's; at most 1024 for a Hugging Face directory]"},
    SharedSetting{"seed", "seed of synthetic data [42]"},
    SharedSetting{"device"},
    SharedSetting{"plan"},
    SharedSetting{"weights"},
    SharedSetting{"rope"},
    SharedSetting{"packing"},
    SharedSetting{"precision"},
    SharedSetting{"threads"},
    SharedSetting{"parallel-sequences"}};

/// What is evaluated, and how it is printed.
struct EvalOptions {
  data::HeldOut held_out = data::HeldOut::all;
  std::int64_t sequences = 0;  ///< 0: all
  bool json = false;
};

EvalOptions read_options(const OptionValues& values, bool is_synthetic) {
  const std::string split = values.text("split");
  if (!split.empty() && split != "all" && split != "heldout")
    throw UsageError(fmt::format("--split: '{}' is not one of all, heldout", split));
  if (split == "all" && is_synthetic)
    throw UsageError("--split all: synthetic data have no end; --split heldout evaluates what training holds out");
  return {.held_out = split == "heldout" ? data::HeldOut::usual : data::HeldOut::all,
          .sequences = values.whole("sequences", 1, std::numeric_limits<std::int32_t>::max(), 0),
          .json = values.toggle("json")};
}

/// The parameters that only kernels use. They are read when kernels are compiled, and only the kernels keep them.
std::unique_ptr<model::FrozenParameters> parameters_of_kernels(const model::ParameterLayout& layout,
                                                               std::shared_ptr<const model::ParameterReader> reader) {
  return std::make_unique<model::FrozenParameters>(layout, model::is_for_kernels, std::move(reader));
}

/// The other parameters, in memory that is mapped, so that its size costs nothing before it is touched.
class Parameters {
 public:
  explicit Parameters(std::size_t count) : memory_(MappedMemory::anonymous(count * sizeof(float))), count_(count) {}
  [[nodiscard]] std::span<float> values() const noexcept { return {reinterpret_cast<float*>(memory_.data()), count_}; }

 private:
  MappedMemory memory_;
  std::size_t count_;
};

/// Compiles the kernels of the forward pass. Throws UsageError if one process cannot compile them.
void prepare_kernels(const RunContext& context, std::span<const float> parameters) {
  constexpr model::PassMode kMode = model::PassMode::forward;
  model::Kernels& kernels = context.model->kernels();
  const int needed = kernels.compiles_needed(kMode);
  if (const int limit = compile_limit(context.settings, *context.device); needed > limit)
    throw UsageError(
        fmt::format("the evaluation needs {} compiles, but a process may make only {}; --weights dynamic "
                    "needs one for each kind of kernel",
                    needed, limit));
  kernels.compile(kMode, parameters);
  kernels.load_weights(kMode, parameters);
}

struct Report {
  double loss = 0;  ///< nats per token that counts
  std::optional<double> bits_per_byte;
  std::size_t tokens = 0;
  std::size_t counted_tokens = 0;
  std::size_t sequences = 0;
  double tokens_per_second = 0;

  [[nodiscard]] double perplexity() const { return std::exp(loss); }
};

Report evaluate_on(const RunContext& context, const data::Source& source, std::span<const float> parameters,
                   std::size_t sequences) {
  const std::atomic<bool> never_stops = false;
  const auto begin = std::chrono::steady_clock::now();
  const train::Evaluation evaluation = train::evaluate(*context.model, source, parameters, 0, sequences, never_stops);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  if (evaluation.overflow)
    throw DivergedError(
        fmt::format("the model's loss on these data cannot be computed: {}; --precision fp32 has a larger "
                    "range",
                    *evaluation.overflow));
  if (evaluation.loss_sequences == 0)
    throw UsageError(fmt::format("no token of the {} sequence{} counts, so there is no loss; evaluate more sequences",
                                 sequences, sequences == 1 ? "" : "s"));
  const std::size_t seq_len = context.model->config().seq_len;
  Report report{.loss = evaluation.loss,
                .bits_per_byte = {},
                .tokens = sequences * seq_len,
                .counted_tokens =
                    static_cast<std::size_t>(std::llround(evaluation.loss_sequences * static_cast<double>(seq_len))),
                .sequences = sequences};
  report.tokens_per_second = static_cast<double>(report.tokens) / seconds.count();
  if (const std::optional<double> bytes = source.bytes_per_token())
    report.bits_per_byte = report.loss / std::numbers::ln2 / *bytes;
  return report;
}

std::string json_text(const Report& report) {
  const auto number = [](double value) {
    return std::isfinite(value) ? fmt::format("{}", value) : std::string("null");
  };
  return fmt::format(
      R"({{"loss": {}, "perplexity": {}, "bits_per_byte": {}, "tokens": {}, "counted_tokens": {}, "sequences": {}, "tokens_per_second": {}}})",
      number(report.loss), number(report.perplexity()), report.bits_per_byte ? number(*report.bits_per_byte) : "null",
      report.tokens, report.counted_tokens, report.sequences, number(report.tokens_per_second));
}

void print(const Report& report, cli::Terminal& terminal) {
  terminal.print(fmt::format("Loss: {:.4f} nats per token", report.loss));
  terminal.print(fmt::format("Perplexity: {:.4f}", report.perplexity()));
  if (report.bits_per_byte) terminal.print(fmt::format("Bits per byte: {:.4f}", *report.bits_per_byte));
  const std::string counted =
      report.counted_tokens == report.tokens ? "" : fmt::format(", {} of them unmasked", report.counted_tokens);
  terminal.print(fmt::format("Tokens: {} in {} sequences{}", report.tokens, report.sequences, counted));
  terminal.print(fmt::format("Speed: {:.0f} tokens per second", report.tokens_per_second));
}

/// The number of sequences to evaluate. Throws UsageError if there are none.
std::size_t sequences_of(const data::Source& source, const EvalOptions& options) {
  const std::size_t count = source.validation_count();
  if (count == 0)
    throw UsageError(fmt::format("no part of these data is held out ({}); use --split all", source.description()));
  return options.sequences == 0 ? count : std::min(count, static_cast<std::size_t>(options.sequences));
}

}  // namespace

cli::Command eval_options() {
  using Kind = cli::CommandOption::Kind;
  cli::Command command{"eval", "Computes the loss of a model on data, as a validation in training does.",
                       shared_options(kEvalSettings)};
  command.options.push_back(
      lora_option("an adapter of PEFT or MLX, or a checkpoint of a LoRA run, to merge into the model"));
  command.options.push_back(
      {Kind::value, "split", "all|heldout",
       "the part of the data: everything, or what training holds out [all; heldout for synthetic]"});
  command.options.push_back({Kind::value, "sequences", "N", "evaluate only the first N sequences"});
  command.options.push_back({Kind::toggle, "json", "", "print one JSON object"});
  return command;
}

int eval_command(const cli::FlagValues& flags, const Invocation& invocation) {
  cli::Terminal terminal;
  const OptionValues values(flags);
  static_cast<void>(values.required("model", "the model to evaluate"));
  static_cast<void>(values.required("data", "the data to evaluate it on"));
  cli::LoadedSettings loaded = load_shared_settings(values, kEvalSettings, invocation);
  const std::shared_ptr<const text::Tokenizer> tokenizer = adopt_tokenizer(loaded);
  for (const std::string& warning : loaded.warnings) terminal.warn(warning);
  const EvalOptions options = read_options(values, loaded.values.data == data::kSynthetic);
  const ModelSource model = open_model(loaded.values.model);
  const model::ParameterLayout layout = model::parameter_layout(model_config(loaded.values));
  const auto reader = open_merged(model, layout, open_adapter(values, layout, terminal));
  const RunContext context = make_run_context(loaded.values, engine_instruments(loaded.values, invocation), {},
                                              parameters_of_kernels(layout, reader));
  if (!context.device_note.empty()) terminal.info(context.device_note);
  const PreparedData prepared = prepare_data(
      loaded.values, {.tokenizer = tokenizer, .environment = invocation.environment, .held_out = options.held_out},
      terminal);
  const std::unique_ptr<data::Source> source = make_source(context.settings, true, prepared, options.held_out);
  const std::size_t sequences = sequences_of(*source, options);
  if (const auto warning = check_memory(evaluation_memory_need(*context.model, context.settings, *context.device),
                                        context.available_memory))
    terminal.warn(*warning);
  const Parameters parameters(context.model->parameters().size());
  model::read_all(*reader, context.model->parameters(), parameters.values());
  prepare_kernels(context, parameters.values());
  if (!options.json) {
    terminal.print(fmt::format("Device: {}", context.device_text()));
    terminal.print(fmt::format("Data: {}", source->description()));
  }
  const Report report = evaluate_on(context, *source, parameters.values(), sequences);
  if (options.json) {
    terminal.print(json_text(report));
  } else {
    print(report, terminal);
  }
  return 0;
}

}  // namespace ane::app
