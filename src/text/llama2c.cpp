#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "ane/core/checksum.h"
#include "ane/core/error.h"

#include "bpe.h"
#include "decoder.h"
#include "formats.h"
#include "utf8.h"
#include "vocabulary.h"

namespace ane::text {
namespace {

// The format fixes the first ids: unknown, beginning and end of a text, then the 256 bytes.
constexpr TokenId kBegin = 1;
constexpr TokenId kEnd = 2;
constexpr TokenId kFirstByte = 3;
constexpr TokenId kFirstText = kFirstByte + 256;

/// The tokens of a file: little-endian int32 length of the longest one, then for each one float score, int32 length and
/// the bytes. The format has no number of tokens; they fill the file.
struct Llama2cTokens {
  std::vector<std::string> names;
  std::vector<float> scores;
};

class Llama2cReader {
 public:
  Llama2cReader(std::string_view bytes, const std::string& file) : rest_(bytes), file_(&file) {}

  Llama2cTokens read() {
    Llama2cTokens tokens;
    const auto longest = number<std::int32_t>();
    while (!rest_.empty()) {
      const auto score = number<float>();
      const auto length = number<std::int32_t>();
      if (!std::isfinite(score)) refuse(tokens, "a score that is not finite");
      if (length < 0 || length > longest || static_cast<std::size_t>(length) > rest_.size())
        refuse(tokens, fmt::format("a length of {}; {} bytes are left, and the longest token has {}", length,
                                   rest_.size(), longest));
      tokens.names.emplace_back(rest_.substr(0, static_cast<std::size_t>(length)));
      if (!is_utf8(tokens.names.back())) refuse(tokens, "text that is not UTF-8");
      tokens.scores.push_back(score);
      rest_.remove_prefix(static_cast<std::size_t>(length));
    }
    if (tokens.names.size() < kFirstText)
      throw FileError(fmt::format("{}: it has {} tokens, but a tokenizer of llama2.c has at least {}", *file_,
                                  tokens.names.size(), kFirstText));
    return tokens;
  }

 private:
  template <class Number>
  Number number() {
    Number value{};
    if (rest_.size() < sizeof(value))
      throw FileError(fmt::format("{}: it ends within a token; is it a tokenizer of llama2.c?", *file_));
    std::memcpy(&value, rest_.data(), sizeof(value));
    rest_.remove_prefix(sizeof(value));
    return value;
  }
  [[noreturn]] void refuse(const Llama2cTokens& tokens, std::string_view what) const {
    throw FileError(
        fmt::format("{}: token {} has {}; is it a tokenizer of llama2.c?", *file_, tokens.names.size(), what));
  }

  std::string_view rest_;
  const std::string* file_;
};

/// Ranks by score: the highest has rank 0; equal ones have equal ranks.
std::vector<std::uint32_t> ranks_of(const std::vector<float>& scores) {
  std::vector<float> sorted = scores;
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  std::vector<std::uint32_t> ranks;
  ranks.reserve(scores.size());
  for (const float score : scores)
    ranks.push_back(static_cast<std::uint32_t>(std::lower_bound(sorted.begin(), sorted.end(), score, std::greater<>()) -
                                               sorted.begin()));
  return ranks;
}

/// Any two tokens may be merged if the vocabulary has the result.
std::vector<Merge> merges_of(const Vocabulary& vocabulary, const Llama2cTokens& tokens) {
  const std::vector<std::uint32_t> ranks = ranks_of(tokens.scores);
  std::vector<Merge> merges;
  for (TokenId id = 0; id < vocabulary.end(); ++id) {
    const std::string* const found = vocabulary.name(id);
    if (found == nullptr) continue;
    const std::string_view name = *found;
    for (std::size_t cut = 1; cut < name.size(); ++cut) {
      const auto left = vocabulary.find(name.substr(0, cut));
      const auto right = vocabulary.find(name.substr(cut));
      if (left && right) merges.push_back({*left, *right, id, ranks[id]});
    }
  }
  return merges;
}

BpeOptions options_for_bytes() {
  BpeOptions options;
  for (std::size_t byte = 0; byte < options.byte_tokens.size(); ++byte)
    options.byte_tokens.at(byte) = kFirstByte + static_cast<TokenId>(byte);
  return options;
}

class Llama2cTokenizer final : public Tokenizer {
 public:
  Llama2cTokenizer(std::uint64_t digest, Vocabulary vocabulary, const Llama2cTokens& tokens)
      : Tokenizer(digest),
        vocabulary_(std::move(vocabulary)),
        bpe_(vocabulary_, merges_of(vocabulary_, tokens), options_for_bytes()) {}

  /// Removes the space that encoding puts in front of a text.
  std::string decode(std::span<const TokenId> ids, SpecialTokens special) const override {
    std::string text;
    bool first = true;
    for (const TokenId id : ids) {
      const std::string* const name = vocabulary_.name(id);
      if (name == nullptr || (is_special(id) && special == SpecialTokens::omit)) continue;
      const bool is_byte = id >= kFirstByte && id < kFirstText;
      if (id == kBegin || id == kEnd) {
        first = id == kBegin;
      } else if (is_byte) {
        text += static_cast<char>(id - kFirstByte);
      } else {
        text += first && name->starts_with(' ') ? name->substr(1) : *name;
      }
      if (id != kBegin) first = false;
    }
    return text;
  }

  const Surroundings& surroundings() const noexcept override { return surroundings_; }
  std::size_t vocab_size() const noexcept override { return vocabulary_.end(); }
  std::optional<TokenId> find(std::string_view name) const override { return vocabulary_.find(name); }
  std::optional<std::string> name(TokenId id) const override {
    const std::string* const found = vocabulary_.name(id);
    return found == nullptr ? std::nullopt : std::optional(*found);
  }
  bool is_special(TokenId id) const override { return id < kFirstByte; }

 private:
  void append_ids(std::string_view text, std::vector<TokenId>& ids) const override {
    if (text.empty()) return;
    Bpe::Encoder(bpe_).append_ids(' ' + std::string(text), ids);
  }

  Vocabulary vocabulary_;
  Bpe bpe_;
  Surroundings surroundings_{.before = {kBegin}, .after = {}};
};

}  // namespace

std::unique_ptr<Tokenizer> open_llama2c(const RegularFile& file) {
  const std::string bytes = whole_text(file, kMostTokenizerBytes);
  const std::string path = file.path().string();
  const Llama2cTokens tokens = Llama2cReader(bytes, path).read();
  Vocabulary vocabulary(tokens.names.size());
  try {
    for (std::size_t id = 0; id < tokens.names.size(); ++id) vocabulary.add(tokens.names[id], static_cast<TokenId>(id));
  } catch (const FileError& error) {
    throw FileError(fmt::format("{}: {}", path, error.what()));
  }
  return std::make_unique<Llama2cTokenizer>(checksum_of(std::as_bytes(std::span(bytes))), std::move(vocabulary),
                                            tokens);
}

}  // namespace ane::text
