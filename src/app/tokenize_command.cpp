#include "ane/app/tokenize_command.h"

#include <charconv>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <fmt/format.h>
#include <unistd.h>

#include "ane/cli/terminal.h"
#include "ane/core/error.h"
#include "ane/core/file.h"
#include "ane/data/token_format.h"
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
  const auto value = [&](const char* name) {
    const auto found = given.find(name);
    if (found == given.end()) return std::string();
    if (found->second.empty()) throw UsageError(fmt::format("--{}: the value is empty", name));
    return found->second;
  };
  const auto toggle = [&](const char* name) { return value(name) == "true"; };
  TokenizeOptions options{.inputs = {},
                          .tokenizer = value("tokenizer"),
                          .out = value("out"),
                          .ids = toggle("ids"),
                          .decode = toggle("decode"),
                          .special = SpecialTokens::omit};
  // What is decoded may have been encoded from text with the names of special tokens.
  if (given.contains("special") ? toggle("special") : options.decode) options.special = SpecialTokens::include;
  const std::string inputs = value(kIn);
  for (std::size_t begin = 0; begin < inputs.size();) {
    const std::size_t end = inputs.find(cli::kArgumentEnd, begin);
    options.inputs.push_back(inputs.substr(begin, end - begin));
    begin = end + 1;
  }
  if (options.tokenizer.empty())
    throw UsageError("tokenize needs --tokenizer FILE|DIR (tokenizer.json, tokenizer.model or tokenizer.bin)");
  if (options.ids && options.decode) throw UsageError("--ids and --decode exclude each other");
  if (options.decode && !options.out.empty()) throw UsageError("--decode prints text; --out is only for tokens");
  if (!options.ids && !options.decode && options.out.empty())
    throw UsageError("tokenize needs --out FILE.bin, --ids or --decode, which say what to do with the tokens");
  return options;
}

/// The texts of all inputs.
std::vector<std::string> read_inputs(const TokenizeOptions& options) {
  std::vector<std::string> texts;
  const auto read = [&](const RegularFile& file) { texts.push_back(whole_text(file, Tokenizer::kMostTextBytes)); };
  if (options.inputs.empty()) {
    constexpr const char* kName = "standard input";
    read(RegularFile(spool(STDIN_FILENO, kName), kName, "text"));
  }
  for (const std::string& input : options.inputs) read(RegularFile(input, "text"));
  return texts;
}

std::vector<text::TokenId> parse_ids(std::string_view text, std::size_t vocab_size) {
  constexpr std::string_view kSpaces = " \t\r\n";
  std::vector<text::TokenId> ids;
  while (true) {
    text.remove_prefix(std::min(text.find_first_not_of(kSpaces), text.size()));
    if (text.empty()) return ids;
    const std::string_view word = text.substr(0, text.find_first_of(kSpaces));
    text::TokenId id = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), id);
    if (error != std::errc() || end != word.data() + word.size() || id >= vocab_size)
      throw FileError(
          fmt::format("number {} of the ids is '{}', but the ids of the tokenizer are whole numbers below {}",
                      ids.size() + 1, word.substr(0, 40), vocab_size));
    ids.push_back(id);
    text.remove_prefix(word.size());
  }
}

void print_ids(const std::vector<text::TokenId>& ids, cli::Terminal& terminal) {
  std::string line;
  for (const text::TokenId id : ids) fmt::format_to(std::back_inserter(line), "{}{}", line.empty() ? "" : " ", id);
  terminal.print(line);
}

/// What was read, and how long encoding took.
struct Effort {
  std::size_t bytes = 0;
  std::chrono::steady_clock::duration time{};
};

void write_tokens(const TokenizeOptions& options, const Tokenizer& tokenizer, const std::vector<text::TokenId>& ids,
                  const Effort& effort, cli::Terminal& terminal) {
  data::write_token_file(options.out, ids, static_cast<std::uint32_t>(tokenizer.vocab_size()), tokenizer.digest());
  const double per_token = ids.empty() ? 0 : static_cast<double>(effort.bytes) / static_cast<double>(ids.size());
  terminal.info(fmt::format("{}: {} tokens of a vocabulary of {}, {:.2f} bytes of text per token; encoded in {:.3f} s",
                            options.out, ids.size(), tokenizer.vocab_size(), per_token,
                            std::chrono::duration<double>(effort.time).count()));
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
  std::vector<text::TokenId> ids;
  Effort effort;
  for (const std::string& text : read_inputs(options)) {
    const auto start = std::chrono::steady_clock::now();
    effort.bytes += text.size();
    if (options.decode) {
      const std::vector<text::TokenId> found = parse_ids(text, tokenizer->vocab_size());
      ids.insert(ids.end(), found.begin(), found.end());
    } else {
      tokenizer->encode(text, options.special, ids);
    }
    effort.time += std::chrono::steady_clock::now() - start;
  }
  if (options.decode) terminal.write(tokenizer->decode(ids, options.special));
  if (options.ids) print_ids(ids, terminal);
  if (!options.out.empty()) write_tokens(options, *tokenizer, ids, effort, terminal);
  return 0;
}

}  // namespace ane::app
