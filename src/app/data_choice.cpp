#include "ane/app/data_choice.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <unistd.h>

#include "ane/app/model_source.h"
#include "ane/app/signals.h"
#include "ane/app/vocabulary.h"
#include "ane/cli/configs.h"
#include "ane/cli/work_bar.h"
#include "ane/core/environment.h"
#include "ane/core/error.h"
#include "ane/core/file.h"
#include "ane/core/file_names.h"
#include "ane/data/text_data.h"
#include "ane/text/end_tokens.h"
#include "ane/train/checkpoint.h"

namespace ane::app {
namespace {

namespace fs = std::filesystem;
using SharedTokenizer = std::shared_ptr<const text::Tokenizer>;

std::size_t as_size(std::int64_t value) { return static_cast<std::size_t>(value); }

/// Whether the user chose the vocabulary, or the weights determine it. A named config only suggests one.
bool has_vocabulary(const cli::LoadedSettings& loaded) {
  const cli::Origin origin = loaded.origin("vocab").origin;
  return origin != cli::Origin::built_in &&
         (origin != cli::Origin::config || cli::is_config_file(loaded.values.config));
}

void expect_vocabulary(const text::Tokenizer& tokenizer, std::int64_t vocab) {
  if (tokenizer.vocab_size() > as_size(vocab))
    throw UsageError(
        fmt::format("the tokenizer has {} tokens, but the vocabulary of the model has {} (--vocab); use the "
                    "tokenizer of the model",
                    tokenizer.vocab_size(), vocab));
}

/// The tokenizer of the checkpoint that is resumed, or the one beside the model.
std::optional<fs::path> find_run_tokenizer(const cli::Settings& settings) {
  if (settings.resume == cli::ResumeChoice::always) {
    for (const fs::path& checkpoint : train::checkpoints_in(settings.checkpoint_dir))
      if (auto found = text::find_tokenizer(checkpoint)) return found;
  }
  std::error_code ignored;
  const bool is_gone = settings.resume == cli::ResumeChoice::always && !fs::exists(settings.model, ignored);
  if (settings.model.empty() || is_gone) return std::nullopt;
  return find_model_tokenizer(open_model(settings.model), "tokenize the text with the program that trained the model");
}

/// The tokenizer as a file, and the directories whose files may name the end token.
struct TokenizerPlace {
  fs::path path;
  std::vector<fs::path> directories;
};

std::optional<TokenizerPlace> find_place(const cli::Settings& settings) {
  TokenizerPlace place;
  std::error_code ignored;
  if (settings.tokenizer.empty()) {
    const std::optional<fs::path> found = find_run_tokenizer(settings);
    if (!found) return std::nullopt;
    place.path = *found;
  } else {
    place.path = settings.tokenizer;
  }
  place.directories.push_back(fs::is_directory(place.path, ignored) ? place.path : place.path.parent_path());
  const fs::path model = settings.model;
  if (!model.empty()) place.directories.push_back(fs::is_directory(model, ignored) ? model : model.parent_path());
  return place;
}

text::TokenId parse_end_token(const std::string& given, const text::Tokenizer& tokenizer) {
  text::TokenId id = 0;
  const auto [end, error] = std::from_chars(given.data(), given.data() + given.size(), id);
  const bool is_number = error == std::errc() && end == given.data() + given.size();
  if (is_number && id < tokenizer.vocab_size()) return id;
  const std::optional<text::TokenId> found = is_number ? std::nullopt : tokenizer.find(given);
  if (!found)
    throw UsageError(
        fmt::format("--end-token: '{}' is neither the name of a token of the tokenizer nor a number below {}", given,
                    tokenizer.vocab_size()));
  return *found;
}

/// The token that ends a text; nullopt if nothing names one. Resolves the setting, because a resumed run may no longer
/// find the files.
std::optional<text::TokenId> resolve_end_token(cli::Settings& settings, const text::Tokenizer& tokenizer,
                                               const TokenizerPlace& place) {
  if (!settings.end_token.empty()) return parse_end_token(settings.end_token, tokenizer);
  for (const fs::path& directory : place.directories) {
    const std::vector<text::TokenId> ids = text::end_tokens(directory, &tokenizer);
    if (ids.empty()) continue;
    if (ids.front() >= tokenizer.vocab_size())
      throw UsageError(
          fmt::format("{}: its files name token {} as the end of a text, but the tokenizer has {} tokens; "
                      "name another with --end-token",
                      directory.string(), ids.front(), tokenizer.vocab_size()));
    settings.end_token = fmt::format("{}", ids.front());
    return ids.front();
  }
  return std::nullopt;
}

/// The end token that the user gives for data that are tokens already.
std::optional<text::TokenId> given_end_token(const cli::Settings& settings, const SharedTokenizer& opened) {
  if (settings.end_token.empty()) return std::nullopt;
  text::TokenId id = 0;
  const std::string& given = settings.end_token;
  const auto [end, error] = std::from_chars(given.data(), given.data() + given.size(), id);
  if (error == std::errc() && end == given.data() + given.size() && id < as_size(settings.vocab)) return id;
  const std::optional<TokenizerPlace> place = opened ? std::nullopt : find_place(settings);
  if (!opened && !place)
    throw UsageError(fmt::format("--end-token: '{}' is not a number below {}; a name needs a tokenizer (--tokenizer)",
                                 given, settings.vocab));
  return parse_end_token(given, opened ? *opened : *text::open_tokenizer(place->path));
}

Descriptor spool_standard_input(cli::Terminal& terminal) {
  if (::isatty(STDIN_FILENO) != 0) terminal.info("reading data from the terminal; press Ctrl-D to end");
  return spool(STDIN_FILENO, "standard input");
}

std::string made_text(const data::DataFiles& files, const data::TokenizedData& made, bool is_masked, double seconds) {
  const data::TokenizeReport& report = made.report;
  const std::string_view documents = files.kind == data::Kind::records ? "record" : "file";
  std::string text = fmt::format(
      "{}: {} {}{} became {} tokens, {:.2f} bytes of text per token", files.name, report.documents, documents,
      report.documents == 1 ? "" : "s", report.tokens,
      static_cast<double>(report.text_bytes) / static_cast<double>(std::max<std::uint64_t>(report.tokens, 1)));
  if (is_masked) text += fmt::format("; {} of them contribute to the loss", report.loss_tokens);
  const std::string place = made.kept_at.lexically_normal().string();
  if (made.is_from_cache) return text + fmt::format("; read from the cache {}", place);
  text += fmt::format("; encoded in {:.1f} s", seconds);
  return place.empty() ? text : text + fmt::format("; cached in {}", place);
}

std::string nothing_held_out(const data::DataFiles& files) {
  if (files.held_out.empty())
    return fmt::format(
        "{}: no record begins in the last tenth of the bytes, so nothing is held out, and there is no validation loss; "
        "a directory with train.jsonl and valid.jsonl chooses the held-out records",
        files.name);
  return fmt::format("{}: {} has no tokens, so there is no validation loss", files.name,
                     files.held_out.front().path().filename().string());
}

/// Returns the descriptor of a file with the tokens of `files`.
Descriptor tokens_of(const data::DataFiles& files, const data::TokenizeOptions& options,
                     std::span<const std::string> environment, cli::Terminal& terminal) {
  const auto start = std::chrono::steady_clock::now();
  cli::WorkBar bar(terminal, "Tokenizing");
  const StopSignals signals;  // a cache is written under a temporary name, which must not stay
  data::TokenizedData made = data::open_tokenized(files, options, cache_directory(environment).value_or(fs::path()),
                                                  [&](std::uint64_t done, std::uint64_t total) {
                                                    signals.check();
                                                    bar.draw(done, total);
                                                  });
  signals.check();
  terminal.clear_bar();
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
  terminal.info(made_text(files, made, options.mask_prompt, time.count()));
  const data::TokenizeReport& report = made.report;
  if (report.skipped > 0)
    terminal.warn(fmt::format("{}: {} bad record{} skipped; the first one: {}", files.name, report.skipped,
                              report.skipped == 1 ? " was" : "s were", data::describe_first_skipped(files, report)));
  if (report.held_out == 0 && options.held_out == data::HeldOut::usual) terminal.warn(nothing_held_out(files));
  return made.file.duplicate();
}

void expect_bytes(const data::DataFiles& files, const cli::Settings& settings) {
  if (files.kind == data::Kind::records)
    throw UsageError(
        fmt::format("{} contains records, which need a tokenizer, but the model has none; name one with "
                    "--tokenizer",
                    files.name));
  if (settings.mask_prompt)
    throw UsageError(
        fmt::format("--mask-prompt: {} is a text, which has no prompt; give records (.jsonl)", files.name));
}

/// The name of the data for descriptions. It depends only on the setting: later processes do not look for the files.
std::string data_name(const std::string& data) {
  if (data == data::kStandardInput) return "standard input";
  const auto commas = static_cast<std::size_t>(std::ranges::count(data, ','));
  const fs::path first = data.substr(0, data.find(','));
  return data::name_of_files((first.has_filename() ? first : first.parent_path()).filename().string(), commas + 1);
}

/// Files that are read as they are.
std::vector<RegularFile> open_files(const data::DataFiles& files) {
  constexpr std::size_t kMostFiles = 1000;  // all are open at the same time
  if (files.kind == data::Kind::records)
    throw UsageError(fmt::format("{} contains records, which only a training run and eval read", files.name));
  if (files.training.size() > kMostFiles)
    throw UsageError(fmt::format("{}: more than {} files; join some of them (cat A B >C)", files.name, kMostFiles));
  std::vector<RegularFile> opened;
  for (const data::TextInput& input : files.training) opened.push_back(input.open());
  return opened;
}

}  // namespace

SharedTokenizer adopt_tokenizer(cli::LoadedSettings& loaded) {
  cli::Settings& settings = loaded.values;
  if (settings.tokenizer.empty()) return nullptr;
  SharedTokenizer tokenizer = text::open_tokenizer(settings.tokenizer);
  if (has_vocabulary(loaded)) {
    expect_vocabulary(*tokenizer, settings.vocab);
  } else {
    settings.vocab = std::max<std::int64_t>(static_cast<std::int64_t>(tokenizer->vocab_size()), 2);
    loaded.provenance["vocab"] = {cli::Origin::model_file, fmt::format("tokenizer {}", settings.tokenizer)};
  }
  return tokenizer;
}

PreparedData prepare_data(cli::Settings& settings, const DataPreparation& preparation, cli::Terminal& terminal) {
  PreparedData prepared;
  if (settings.family == model::Family::mlp || settings.data == data::kSynthetic) return prepared;
  data::DataFiles files;
  if (settings.data == data::kStandardInput) {
    prepared.standard_input = spool_standard_input(terminal);
    files = data::data_from_standard_input(std::make_shared<const Descriptor>(prepared.standard_input.duplicate()),
                                           settings.data_format);
  } else {
    files = data::find_data(settings.data, settings.data_format);
  }
  if (files.kind == data::Kind::tokens) {
    if (settings.mask_prompt)
      throw UsageError(
          fmt::format("--mask-prompt: {} contains tokens; give the records that they were made of", files.name));
    prepared.end_token = given_end_token(settings, preparation.tokenizer);
    return prepared;
  }
  const std::optional<TokenizerPlace> place = find_place(settings);
  if (!place) {
    expect_bytes(files, settings);
    return prepared;
  }
  const SharedTokenizer tokenizer =
      preparation.tokenizer ? preparation.tokenizer : SharedTokenizer(text::open_tokenizer(place->path));
  expect_vocabulary(*tokenizer, settings.vocab);
  const data::TokenizeOptions options{.tokenizer = tokenizer,
                                      .end_token = resolve_end_token(settings, *tokenizer, *place),
                                      .mask_prompt = settings.mask_prompt,
                                      .skip_bad_records = settings.skip_bad_records,
                                      .held_out = preparation.held_out};
  prepared.end_token = options.end_token;
  prepared.tokens = tokens_of(files, options, preparation.environment, terminal);
  prepared.standard_input = {};
  return prepared;
}

std::unique_ptr<data::Source> make_source(const cli::Settings& settings, bool scan, const PreparedData& prepared,
                                          data::HeldOut held_out) {
  const auto seed = static_cast<std::uint64_t>(settings.seed);
  if (settings.family == model::Family::mlp)
    return data::make_teacher_source(as_size(settings.dim), as_size(settings.hidden), as_size(settings.seq), seed);
  data::TokenSettings tokens{.seq_len = as_size(settings.seq),
                             .vocab_size = as_size(settings.vocab),
                             .seed = seed,
                             .order = settings.data_order,
                             .scan = scan,
                             .format = settings.data_format,
                             .held_out = held_out};
  if (settings.data == data::kSynthetic) return data::make_markov_source(tokens);
  if (prepared.tokens || prepared.standard_input) {
    if (prepared.tokens) tokens.format = data::Format::tokens;
    std::vector<RegularFile> files;
    const Descriptor& file = prepared.tokens ? prepared.tokens : prepared.standard_input;
    files.emplace_back(file.duplicate(), data_name(settings.data), "data");
    return data::open_token_files(std::move(files), tokens);
  }
  if (settings.data == data::kStandardInput)
    throw UsageError("--data - is read only by a training run, by eval and by --dry-run; name a file");
  return data::open_token_files(open_files(data::find_data(settings.data, settings.data_format)), tokens);
}

model::Companions with_tokenizer(model::Companions companions, const std::string& tokenizer) {
  constexpr std::array kBeside = {"tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
                                  "generation_config.json"};
  std::error_code ignored;
  fs::path path = tokenizer;
  if (fs::is_directory(path, ignored)) path = text::find_tokenizer(path).value_or(path);
  const std::string_view name = path.extension() == ".json"    ? text::kHuggingFaceFile
                                : path.extension() == ".model" ? text::kSentencePieceFile
                                                               : text::kLlama2cFile;
  // Files of another tokenizer would contradict this one; only generation_config.json belongs to the model as well.
  std::erase_if(companions.files,
                [](const model::CompanionFile& file) { return file.name != "generation_config.json"; });
  companions.files.push_back(model::open_companion(path, name));
  for (const char* beside : kBeside)
    if (is_taken(path.parent_path() / beside) &&
        std::ranges::count(companions.files, beside, &model::CompanionFile::name) == 0)
      companions.files.push_back(model::open_companion(path.parent_path() / beside, beside));
  return companions;
}

}  // namespace ane::app
