#include "ane/text/stream.h"

#include <algorithm>
#include <utility>

#include "utf8.h"

namespace ane::text {

namespace {

constexpr std::size_t kContextTokens = 6;
/// A character has at most four bytes, so more tokens than that without a whole character are no text.
constexpr std::size_t kMostTokensOfACharacter = 4;

/// Whether the text ends within a character.
bool is_cut(std::string_view text) {
  if (text.ends_with(kReplacement)) return true;
  for (std::size_t length = 1; length <= std::min<std::size_t>(3, text.size()); ++length) {
    const auto lead = static_cast<unsigned char>(text[text.size() - length]);
    if ((lead & 0xC0U) == 0x80U) continue;
    const std::size_t wanted = lead >= 0xF0U ? 4 : lead >= 0xE0U ? 3 : lead >= 0xC0U ? 2 : 1;
    return wanted > length;
  }
  return false;
}

/// The length of the longest end of `text` that `whole` begins with.
std::size_t common_length(std::string_view text, std::string_view whole) {
  for (std::size_t length = std::min(text.size(), whole.size()); length > 0; --length)
    if (text.ends_with(whole.substr(0, length))) return length;
  return 0;
}

}  // namespace

TextStream::TextStream(Decode decode, std::span<const TokenId> before, std::string stop)
    : decode_(std::move(decode)), stop_(std::move(stop)) {
  const std::span<const TokenId> end = before.last(std::min(before.size(), kContextTokens));
  tokens_.assign(end.begin(), end.end());
  decoded_ = tokens_.size();
}

std::string TextStream::decode_from(std::size_t first) const { return decode_(std::span(tokens_).subspan(first)); }

// The text of a token depends on its neighbors: the first token of a text loses its space, and several tokens may form
// one character. The new text is therefore the difference of two texts that begin with earlier tokens.
std::string TextStream::add(TokenId token) {
  if (stopped_) return {};
  tokens_.push_back(token);
  const std::string all = decode_from(context_);
  const bool waits = is_cut(all) && tokens_.size() - decoded_ < kMostTokensOfACharacter;
  if (waits) return {};
  const std::string known = decode_(std::span(tokens_).subspan(context_, decoded_ - context_));
  if (all.size() > known.size()) pending_ += all.substr(known.size());
  context_ = decoded_;
  decoded_ = tokens_.size();
  return release(false);
}

std::string TextStream::finish() {
  if (stopped_) return {};
  if (decoded_ < tokens_.size()) {
    const std::string all = decode_from(context_);
    const std::string known = decode_(std::span(tokens_).subspan(context_, decoded_ - context_));
    if (all.size() > known.size()) pending_ += all.substr(known.size());
    decoded_ = tokens_.size();
  }
  return release(true);
}

std::string TextStream::release(bool at_end) {
  if (!stop_.empty()) {
    if (const std::size_t found = pending_.find(stop_); found != std::string::npos) {
      stopped_ = true;
      pending_.resize(found);
      return std::exchange(pending_, {});
    }
  }
  const std::size_t withheld = at_end || stop_.empty() ? 0 : common_length(pending_, stop_);
  std::string released = pending_.substr(0, pending_.size() - withheld);
  pending_.erase(0, released.size());
  return released;
}

}  // namespace ane::text
