#include "ane/text/stream_encoder.h"

#include <algorithm>
#include <utility>

#include "utf8.h"

namespace ane::text {
namespace {

/// Text on each side of a cut that is compared.
constexpr std::size_t kContextBytes = 1024;

bool is_space(char c) { return std::string_view(" \t\r\n\v\f").find(c) != std::string_view::npos; }

}  // namespace

StreamEncoder::StreamEncoder(const Tokenizer& tokenizer, SpecialTokens special, std::size_t piece_bytes)
    : tokenizer_(&tokenizer),
      special_(special),
      piece_bytes_(std::max(piece_bytes, 4 * kContextBytes)),
      wanted_bytes_(piece_bytes_) {}

void StreamEncoder::append(std::string_view text, std::vector<TokenId>& ids) {
  start(ids);
  rest_ += text;
  while (rest_.size() >= wanted_bytes_) {
    const std::optional<Cut> cut = find_cut();
    if (!cut) {
      wanted_bytes_ = 2 * rest_.size();
      return;
    }
    tokenizer_->encode(std::string_view(rest_).substr(0, cut->at), SpecialTokens::omit, ids);
    rest_.erase(0, cut->at + cut->skipped);
    wanted_bytes_ = piece_bytes_;
  }
}

void StreamEncoder::finish(std::vector<TokenId>& ids) {
  start(ids);
  tokenizer_->encode(rest_, SpecialTokens::omit, ids);
  const std::vector<TokenId>& after = tokenizer_->surroundings().after;
  if (special_ == SpecialTokens::include) ids.insert(ids.end(), after.begin(), after.end());
  rest_.clear();
  wanted_bytes_ = piece_bytes_;
  started_ = false;
}

void StreamEncoder::start(std::vector<TokenId>& ids) {
  if (std::exchange(started_, true) || special_ == SpecialTokens::omit) return;
  const std::vector<TokenId>& before = tokenizer_->surroundings().before;
  ids.insert(ids.end(), before.begin(), before.end());
}

std::optional<StreamEncoder::Cut> StreamEncoder::find_cut() const {
  constexpr int kMostTries = 100;
  int tries = 0;
  for (std::size_t at = rest_.size() - kContextBytes; at > rest_.size() / 2 && tries < kMostTries; --at) {
    const bool single = (rest_[at] == ' ' || rest_[at] == '\n') && !is_space(rest_[at - 1]) && !is_space(rest_[at + 1]);
    if (!single) continue;
    if (const std::optional<Cut> cut = try_cut(at)) return cut;
    ++tries;
  }
  return std::nullopt;
}

/// Some tokenizers put a space before a text. With these, the space after the cut is skipped.
std::optional<StreamEncoder::Cut> StreamEncoder::try_cut(std::size_t at) const {
  const std::string_view around = std::string_view(rest_).substr(at - kContextBytes, 2 * kContextBytes);
  const std::vector<TokenId> uncut = tokenizer_->encode(around);
  const std::vector<TokenId> left = tokenizer_->encode(around.substr(0, kContextBytes));
  for (const std::size_t skipped : {0U, 1U}) {
    if (skipped == 1 && rest_[at] != ' ') continue;
    std::vector<TokenId> joined = left;
    tokenizer_->encode(around.substr(kContextBytes + skipped), SpecialTokens::omit, joined);
    if (joined == uncut) return Cut{at, skipped};
  }
  return std::nullopt;
}

}  // namespace ane::text
