#include "ane/app/tokenize_command.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <unistd.h>

#include "ane/app/option_values.h"
#include "ane/app/signals.h"
#include "ane/cli/terminal.h"
#include "ane/core/error.h"
#include "ane/core/file.h"
#include "ane/data/token_format.h"
#include "ane/text/stream_encoder.h"
#include "ane/text/tokenizer.h"

namespace ane::app {
namespace {

using text::SpecialTokens;
using text::Tokenizer;

constexpr const char* kIn = "IN";

struct TokenizeOptions {
  std::vector<std::string> inputs;  ///< empty: standard input
  std::string tokenizer;
  std::string out;  ///< empty: none
  bool ids;
  bool decode;
  SpecialTokens special;
};

TokenizeOptions read_tokenize_options(const cli::FlagValues& given) {
  const OptionValues values(given);
  TokenizeOptions options{
      .inputs = values.list(kIn),
      .tokenizer = values.required("tokenizer", "tokenizer.json, tokenizer.model or tokenizer.bin, or a directory"),
      .out = values.text("out"),
      .ids = values.toggle("ids"),
      .decode = values.toggle("decode"),
      .special = SpecialTokens::omit};
  // Decoding shows special tokens by default, because the text that was encoded may have contained their names.
  if (given.contains("special") ? values.toggle("special") : options.decode) options.special = SpecialTokens::include;
  if (options.ids && options.decode) throw UsageError("--ids and --decode exclude each other");
  if (options.decode && !options.out.empty()) throw UsageError("--decode prints text; --out is only for tokens");
  if (!options.ids && !options.decode && options.out.empty())
    throw UsageError("tokenize needs --out FILE.bin, --ids or --decode, which say what to do with the tokens");
  return options;
}

std::vector<RegularFile> open_inputs(const std::vector<std::string>& inputs) {
  constexpr const char* kStandardInput = "standard input";
  std::vector<RegularFile> files;
  if (inputs.empty()) files.emplace_back(spool(STDIN_FILENO, kStandardInput), kStandardInput, "text");
  for (const std::string& input : inputs) files.emplace_back(input, "text");
  return files;
}

std::vector<text::TokenId> parse_ids(std::string_view text, const RegularFile& file, std::size_t vocab_size) {
  constexpr std::string_view kSpaces = " \t\r\n";
  std::vector<text::TokenId> ids;
  while (true) {
    text.remove_prefix(std::min(text.find_first_not_of(kSpaces), text.size()));
    if (text.empty()) return ids;
    const std::string_view word = text.substr(0, text.find_first_of(kSpaces));
    text::TokenId id = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), id);
    if (error != std::errc() || end != word.data() + word.size() || id >= vocab_size)
      throw FileError(fmt::format("{}: number {} is '{}', but the ids of the tokenizer are whole numbers below {}",
                                  file.path().string(), ids.size() + 1, word.substr(0, 40), vocab_size));
    ids.push_back(id);
    text.remove_prefix(word.size());
  }
}

/// Where tokens go: a file, standard output, or both.
class TokenOutput {
 public:
  TokenOutput(const TokenizeOptions& options, const Tokenizer& tokenizer, cli::Terminal& terminal)
      : options_(&options), tokenizer_(&tokenizer), terminal_(&terminal) {
    if (!options.out.empty())
      file_.emplace(options.out, static_cast<std::uint32_t>(tokenizer.vocab_size()), tokenizer.digest());
  }

  void take(std::span<const text::TokenId> ids) {
    if (file_) file_->append(ids);
    if (!options_->ids) return;
    std::string line;
    for (const text::TokenId id : ids)
      fmt::format_to(std::back_inserter(line), "{}{}", std::exchange(begun_, true) ? " " : "", id);
    terminal_->write(line);
  }

  void finish(std::size_t bytes, std::chrono::duration<double> time) {
    if (options_->ids) terminal_->write("\n");
    if (!file_) return;
    file_->commit({.text_bytes = bytes});
    const auto count = static_cast<double>(file_->count());
    terminal_->info(fmt::format(
        "{}: {} tokens of a vocabulary of {}, {:.2f} bytes of text per token; encoded in {:.3f} s", options_->out,
        file_->count(), tokenizer_->vocab_size(), count > 0 ? static_cast<double>(bytes) / count : 0, time.count()));
  }

 private:
  const TokenizeOptions* options_;
  const Tokenizer* tokenizer_;
  cli::Terminal* terminal_;
  std::optional<data::TokenFileWriter> file_;
  bool begun_ = false;
};

void encode_files(const TokenizeOptions& options, const Tokenizer& tokenizer, cli::Terminal& terminal) {
  constexpr std::size_t kReadBytes = std::size_t{1} << 20U;
  const std::vector<RegularFile> files = open_inputs(options.inputs);
  std::optional<StopSignals> signals;  // a file is written under a temporary name, which must not stay
  if (!options.out.empty()) signals.emplace();
  TokenOutput output(options, tokenizer, terminal);
  text::StreamEncoder encoder(tokenizer, options.special);
  std::vector<text::TokenId> ids;
  std::string piece;
  std::size_t bytes = 0;
  std::chrono::steady_clock::duration time{};
  const auto encode = [&](auto&& some) {
    ids.clear();
    const auto start = std::chrono::steady_clock::now();
    some();
    time += std::chrono::steady_clock::now() - start;
    output.take(ids);
  };
  for (const RegularFile& file : files) {
    for (std::uint64_t at = 0; at < file.size_bytes(); at += piece.size()) {
      if (signals) signals->check();
      piece.resize(static_cast<std::size_t>(std::min<std::uint64_t>(kReadBytes, file.size_bytes() - at)));
      file.read(at, std::as_writable_bytes(std::span(piece)));
      bytes += piece.size();
      encode([&] { encoder.append(piece, ids); });
    }
    encode([&] { encoder.finish(ids); });
  }
  output.finish(bytes, time);
}

void decode_files(const TokenizeOptions& options, const Tokenizer& tokenizer, cli::Terminal& terminal) {
  std::vector<text::TokenId> ids;
  for (const RegularFile& file : open_inputs(options.inputs)) {
    const auto found = parse_ids(whole_text(file, Tokenizer::kMostTextBytes), file, tokenizer.vocab_size());
    ids.insert(ids.end(), found.begin(), found.end());
  }
  terminal.write(tokenizer.decode(ids, options.special));
}

}  // namespace

cli::Command tokenize_options() {
  using Kind = cli::CommandOption::Kind;
  return {"tokenize",
          "Turns text into the tokens of a model and back.",
          {{Kind::arguments, kIn, "", "files to read [standard input]"},
           {Kind::value, "tokenizer", "FILE|DIR",
            "tokenizer.json (Hugging Face), tokenizer.model (SentencePiece) or tokenizer.bin (llama2.c), or a "
            "directory with one of them"},
           {Kind::value, "out", "FILE.bin", "write the tokens to this file, for --data"},
           {Kind::toggle, "ids", "", "print the tokens' ids on one line"},
           {Kind::toggle, "decode", "", "read ids and print their text"},
           {.kind = Kind::toggle,
            .name = "special",
            .help = "add the special tokens that the tokenizer puts around each text; with --decode, print "
                    "special tokens, which is the default there",
            .negation = "--no-special"}}};
}

int tokenize_command(const cli::FlagValues& values) {
  const TokenizeOptions options = read_tokenize_options(values);
  const std::unique_ptr<Tokenizer> tokenizer = text::open_tokenizer(options.tokenizer);
  cli::Terminal terminal;
  options.decode ? decode_files(options, *tokenizer, terminal) : encode_files(options, *tokenizer, terminal);
  return 0;
}

}  // namespace ane::app
