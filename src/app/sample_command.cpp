#include "ane/app/sample_command.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <limits>
#include <optional>
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
#include "ane/app/vocabulary.h"
#include "ane/cli/settings.h"
#include "ane/cli/terminal.h"
#include "ane/core/error.h"
#include "ane/core/file.h"
#include "ane/model/adapter.h"
#include "ane/model/decoder.h"
#include "ane/model/sampling.h"
#include "ane/text/chat.h"
#include "ane/text/end_tokens.h"
#include "ane/text/stream.h"

namespace ane::app {
namespace {

using data::Token;
using Clock = std::chrono::steady_clock;

constexpr std::array kSampleSettings = {
    SharedSetting{"model", "the model: anything that --model of a training run accepts"},
    SharedSetting{"seq", "context: tokens of prompt and continuation [the model's, at most 1024]"},
    SharedSetting{"seed", "seed of the draws [42]"},
    SharedSetting{"device"},
    SharedSetting{"rope"},
    SharedSetting{"packing"},
    SharedSetting{"precision"},
    SharedSetting{"threads"}};
constexpr std::int64_t kMostTokens = std::numeric_limits<std::int32_t>::max();

struct SampleOptions {
  std::optional<std::string> prompt;
  std::optional<std::vector<Token>> prompt_tokens;
  std::string tokenizer;
  std::string stop;
  std::size_t max_tokens;
  model::SamplingOptions sampling;
  bool chat, ignore_end, cache, print_tokens;
};

std::vector<Token> parse_tokens(std::string_view list) {
  std::vector<Token> tokens;
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t end = std::min(list.find(',', begin), list.size());
    const std::string_view word = list.substr(begin, end - begin);
    Token token = 0;
    const auto [rest, error] = std::from_chars(word.data(), word.data() + word.size(), token);
    if (error != std::errc{} || rest != word.data() + word.size())
      throw UsageError(fmt::format("--prompt-tokens: '{}' is not the number of a token; expected numbers like 1,2,3",
                                   word.substr(0, 40)));
    tokens.push_back(token);
    begin = end + 1;
  }
  return tokens;
}

SampleOptions read_options(const OptionValues& values, const cli::FlagValues& flags, std::uint64_t seed) {
  SampleOptions options{};
  int prompts = 0;
  if (const auto given = flags.find("prompt"); given != flags.end()) {
    options.prompt = given->second;
    ++prompts;
  }
  if (const std::string file = values.text("prompt-file"); !file.empty()) {
    constexpr std::uint64_t kMostBytes = std::uint64_t{64} << 20U;
    options.prompt = whole_text(RegularFile(file, "prompt"), kMostBytes);
    ++prompts;
  }
  if (const std::string list = values.text("prompt-tokens"); !list.empty()) {
    options.prompt_tokens = parse_tokens(list);
    ++prompts;
  }
  if (prompts != 1) throw UsageError("sample needs one of --prompt, --prompt-file and --prompt-tokens");
  options.chat = values.toggle("chat");
  if (options.chat && !options.prompt) throw UsageError("--chat needs a text: --prompt or --prompt-file");
  options.tokenizer = values.text("tokenizer");
  options.stop = values.text("stop");
  options.max_tokens = static_cast<std::size_t>(values.whole("max-tokens", 1, kMostTokens, 256));
  options.ignore_end = values.toggle("ignore-eos");
  options.cache = !values.toggle("no-kv-cache");
  options.print_tokens = values.toggle("tokens");
  if (options.print_tokens && !options.stop.empty())
    throw UsageError("--stop is compared with text; omit it with --tokens");
  constexpr model::SamplingOptions kDefault = model::kDefaultSampling;
  options.sampling = {.temperature = values.number("temperature", 0, 100, kDefault.temperature),
                      .top_k = static_cast<std::size_t>(values.whole("top-k", 0, kMostTokens, kDefault.top_k)),
                      .top_p = values.number("top-p", 0, 1, kDefault.top_p),
                      .min_p = values.number("min-p", 0, 1, kDefault.min_p),
                      .seed = seed};
  return options;
}

/// What the model reads and writes.
struct Prompt {
  std::vector<Token> tokens;
  std::vector<Token> end_tokens;
};

std::optional<text::ChatFormat> chat_format(const SampleOptions& options, const Vocabulary& vocabulary) {
  if (!options.chat) return std::nullopt;
  const text::Tokenizer* const tokenizer = vocabulary.tokenizer();
  const auto format = tokenizer != nullptr ? text::chat_format_of(*tokenizer) : std::nullopt;
  if (!format)
    throw UsageError(
        "--chat: the tokenizer has the special tokens of neither ChatML nor Llama 3; omit --chat to "
        "continue a text");
  return format;
}

Prompt make_prompt(const SampleOptions& options, const std::optional<Vocabulary>& vocabulary,
                   const std::filesystem::path& directory) {
  const text::Tokenizer* const tokenizer = vocabulary ? vocabulary->tokenizer() : nullptr;
  Prompt prompt{{}, text::end_tokens(directory, tokenizer)};
  if (options.prompt_tokens) {
    prompt.tokens = *options.prompt_tokens;
    return prompt;
  }
  if (const auto format = chat_format(options, *vocabulary)) {
    const std::array messages = {text::Message{"user", *options.prompt}};
    const std::string text = text::chat_text(*format, messages) + text::message_start(*format, "assistant");
    prompt.tokens = vocabulary->encode(text, text::SpecialTokens::omit);
    if (const auto end = tokenizer->find(text::message_end(*format))) prompt.end_tokens.push_back(*end);
    return prompt;
  }
  prompt.tokens = vocabulary->encode(*options.prompt, text::SpecialTokens::include);
  return prompt;
}

/// Prints tokens or text as they are generated.
class Printer {
 public:
  Printer(cli::Terminal& terminal, const SampleOptions& options, const std::optional<Vocabulary>& vocabulary,
          std::span<const Token> prompt)
      : terminal_(&terminal) {
    if (options.print_tokens) return;
    stream_.emplace([&vocabulary](std::span<const Token> tokens) { return vocabulary->decode(tokens); }, prompt,
                    options.stop);
  }
  void print(Token token) {
    write(stream_ ? stream_->add(token) : fmt::format("{}{}", is_first_ ? "" : " ", token));
    is_first_ = false;
  }
  [[nodiscard]] bool is_stopped() const { return stream_ && stream_->is_stopped(); }
  void finish() {
    if (stream_) write(stream_->finish());
    terminal_->write("\n");
  }

 private:
  void write(std::string_view text) {
    if (!text.empty()) terminal_->write(text);
  }

  cli::Terminal* terminal_;
  std::optional<text::TextStream> stream_;
  bool is_first_ = true;
};

struct Speed {
  std::size_t tokens = 0;
  Clock::duration time{};
  [[nodiscard]] std::string text() const {
    const double seconds = std::chrono::duration<double>(time).count();
    return fmt::format("{} token{}, {:.1f} tokens/s", tokens, tokens == 1 ? "" : "s",
                       seconds > 0 ? static_cast<double>(tokens) / seconds : 0);
  }
};

/// The logits of what follows a growing text, and the time that they take.
class Continuation {
 public:
  Continuation(model::Decoder& decoder, bool cache) : decoder_(&decoder), cache_(cache) {}

  std::span<const float> begin(std::vector<Token> tokens) {
    text_ = std::move(tokens);
    decoder_->prepare_restart();
    return timed(prompt, text_.size(), [&] { return decoder_->restart(text_); });
  }
  std::span<const float> append(Token token) {
    text_.push_back(token);
    if (!cache_) return timed(generation, 1, [&] { return decoder_->restart(text_); });
    decoder_->prepare_append();
    return timed(generation, 1, [&] { return decoder_->append(token); });
  }

  Speed prompt, generation;

 private:
  template <class Body>
  std::span<const float> timed(Speed& speed, std::size_t tokens, const Body& body) {
    const auto start = Clock::now();
    const std::span<const float> logits = body();
    speed.time += Clock::now() - start;
    speed.tokens += tokens;
    return logits;
  }

  model::Decoder* decoder_;
  bool cache_;
  std::vector<Token> text_;
};

/// Generates until an end token, the stop text, the number of tokens or the end of the context.
void generate(model::Decoder& decoder, const Prompt& prompt, const SampleOptions& options, Printer& printer,
              cli::Terminal& terminal) {
  Continuation continuation(decoder, options.cache);
  model::Sampler sampler(options.sampling);
  std::span<const float> logits = continuation.begin(prompt.tokens);
  bool context_ended = false;
  for (std::size_t made = 1;; ++made) {
    const Token token = sampler.next(logits, decoder.position());
    if (!options.ignore_end && std::ranges::count(prompt.end_tokens, token) > 0) break;
    printer.print(token);
    if (printer.is_stopped() || made == options.max_tokens) break;
    context_ended = decoder.position() == decoder.window();
    if (context_ended) break;
    logits = continuation.append(token);
  }
  printer.finish();
  if (context_ended)
    terminal.info(fmt::format("the context of {} tokens is full; a larger --seq extends it", decoder.window()));
  cli::write_to_stderr(
      fmt::format("Prompt: {}\nGeneration: {}\n", continuation.prompt.text(), continuation.generation.text()));
}

cli::LoadedSettings load_sample_settings(const OptionValues& values, const Invocation& invocation) {
  static_cast<void>(values.required("model", "the model that continues the text"));
  cli::LoadedSettings loaded = load_shared_settings(values, kSampleSettings, invocation);
  loaded.values.weights = cli::WeightsChoice::baked;
  loaded.values.parallel_sequences = 1;  // a single text uses all threads
  if (loaded.values.family == model::Family::mlp) throw UsageError("an mlp cannot generate text");
  return loaded;
}

/// Throws UsageError if one process cannot compile the kernels: those of the prompt, then those of a single position.
void check_compiles(const RunContext& context, const SampleOptions& options) {
  constexpr std::size_t kKernelsOfLayer = 2;
  const std::size_t needed = (options.cache ? 2 : 1) * kKernelsOfLayer * context.model->config().layers;
  if (const int limit = compile_limit(context.settings, *context.device); std::cmp_greater(needed, limit))
    throw UsageError(fmt::format("sampling needs {} compiles, but a process may make only {}; {}", needed, limit,
                                 options.cache ? "--no-kv-cache needs half as many" : "use --device host"));
}

}  // namespace

cli::Command sample_options() {
  using Kind = cli::CommandOption::Kind;
  cli::Command command{"sample", "Continues a text with a model, token by token.", shared_options(kSampleSettings)};
  const std::vector<cli::CommandOption> own = {
      lora_option("an adapter of PEFT or MLX, or a checkpoint of a LoRA run, to merge into the model"),
      {Kind::value, "prompt", "TEXT", "the text to continue"},
      {Kind::value, "prompt-file", "FILE", "a file with the text to continue"},
      {Kind::value, "prompt-tokens", "N,N,...", "the tokens to continue; needs no tokenizer"},
      {Kind::toggle, "chat", "", "the prompt is a user's message, which the model answers (ChatML, Llama 3)"},
      {Kind::value, "tokenizer", "FILE|DIR",
       "the tokenizer [the one beside the model; bytes if it was trained on them]"},
      {Kind::value, "max-tokens", "N", "end after N tokens [256]"},
      {Kind::value, "temperature", "T", "divides the logits; 0: always the most probable token [0.8]"},
      {Kind::value, "top-k", "K", "then keep the K most probable tokens; 0: all [0]"},
      {Kind::value, "top-p", "P", "then keep the fewest most probable tokens whose probabilities reach P [1]"},
      {Kind::value, "min-p", "P", "then keep tokens with at least P times the largest probability [0]"},
      {Kind::value, "stop", "TEXT", "end when this text appears, which is not printed"},
      {Kind::toggle, "ignore-eos", "", "continue after a token that ends the text"},
      {Kind::toggle, "tokens", "", "print the numbers of the tokens, not their text"},
      {Kind::toggle, "no-kv-cache", "", "compute the whole text again for each token"},
  };
  command.options.insert(command.options.end(), own.begin(), own.end());
  return command;
}

int sample_command(const cli::FlagValues& flags, const Invocation& invocation) {
  cli::Terminal terminal;
  const OptionValues values(flags);
  const cli::LoadedSettings loaded = load_sample_settings(values, invocation);
  for (const std::string& warning : loaded.warnings) terminal.warn(warning);
  const SampleOptions options = read_options(values, flags, static_cast<std::uint64_t>(loaded.values.seed));
  const ModelSource source = open_model(loaded.values.model);
  std::optional<Vocabulary> vocabulary;
  if (options.prompt || !options.print_tokens) vocabulary = open_vocabulary(options.tokenizer, source);
  const Prompt prompt = make_prompt(options, vocabulary, source.file.parent_path());

  const RunContext context = make_run_context(loaded.values, engine_instruments(loaded.values, invocation));
  const model::ModelConfig& config = context.model->config();
  check_prompt(prompt.tokens, config);
  check_compiles(context, options);
  const model::ParameterLayout& layout = context.model->parameters();
  std::optional<model::AdapterSource> adapter = open_adapter(values, layout, terminal);
  if (!context.device_note.empty()) terminal.info(context.device_note);
  const auto reader = open_merged(source, layout, std::move(adapter));
  model::Decoder decoder(config, kernel_options(context.settings, model::WeightMode::baked),
                         {.device = *context.device, .surfaces = *context.surfaces, .threads = *context.threads},
                         *reader);
  Printer printer(terminal, options, vocabulary, prompt.tokens);
  generate(decoder, prompt, options, printer, terminal);
  return 0;
}

}  // namespace ane::app
