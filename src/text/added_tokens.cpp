#include "added_tokens.h"

#include <algorithm>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "ane/core/error.h"

#include "utf8.h"

namespace ane::text {

namespace {

constexpr std::uint32_t kEmpty = 0;  // the state of the empty string

std::size_t total_bytes(const std::vector<AddedToken>& tokens) {
  constexpr std::size_t kLongest = 1024;
  constexpr std::size_t kMost = std::size_t{16} << 20U;
  std::size_t total = 0;
  for (const AddedToken& token : tokens) {
    if (token.content.size() > kLongest)
      throw FileError(fmt::format("the token {} has {} bytes, but at most {} are accepted", token.id,
                                  token.content.size(), kLongest));
    total += token.content.size();
  }
  if (total > kMost)
    throw FileError(fmt::format("the tokens have {} bytes, but at most {} are accepted", total, kMost));
  return total;
}

std::uint64_t child_key(std::uint32_t state, unsigned char byte) noexcept { return std::uint64_t{state} << 8U | byte; }

}  // namespace

AddedTokens::AddedTokens(std::vector<AddedToken> tokens)
    : tokens_(std::move(tokens)),
      states_(1),
      children_(total_bytes(tokens_)),
      word_(fmt::format("[{}]", kWordCharacters)),
      space_(R"(\p{White_Space})") {
  for (const AddedToken& token : tokens_) add_states(token);
  connect_states();
}

/// The first one of tokens with the same content stays.
void AddedTokens::add_states(const AddedToken& token) {
  std::uint32_t state = kEmpty;
  for (const char c : std::string(token.content.rbegin(), token.content.rend())) {
    const auto byte = static_cast<unsigned char>(c);
    std::optional<std::uint32_t> next = child(state, byte);
    if (!next) {
      next = static_cast<std::uint32_t>(states_.size());
      states_.push_back({.shorter = state});  // the parent, until connect_states()
      children_.set(child_key(state, byte), *next);
    }
    state = *next;
  }
  if (states_[state].token == nullptr) states_[state].token = &token;
  longest_ = std::max(longest_, token.content.size());
  ends_.at(static_cast<unsigned char>(token.content.back())) = true;
}

/// Short strings first, because each one needs the shorter ones.
void AddedTokens::connect_states() {
  struct Step {
    std::uint32_t depth = 0;
    std::uint32_t state = 0;
    unsigned char byte = 0;
  };
  std::vector<Step> steps;
  for (const AddedToken& token : tokens_) {
    std::uint32_t state = kEmpty;
    std::uint32_t depth = 0;
    for (const char c : std::string(token.content.rbegin(), token.content.rend())) {
      const auto byte = static_cast<unsigned char>(c);
      state = *child(state, byte);
      steps.push_back({++depth, state, byte});
    }
  }
  std::sort(steps.begin(), steps.end(),
            [](const Step& a, const Step& b) { return a.depth != b.depth ? a.depth < b.depth : a.state < b.state; });
  steps.erase(std::unique(steps.begin(), steps.end(), [](const Step& a, const Step& b) { return a.state == b.state; }),
              steps.end());
  for (const Step& each : steps) {
    State& state = states_[each.state];
    const std::uint32_t parent = state.shorter;
    state.shorter = parent == kEmpty ? kEmpty : step(states_[parent].shorter, each.byte);
    if (state.token == nullptr) state.token = states_[state.shorter].token;
  }
}

std::optional<std::uint32_t> AddedTokens::child(std::uint32_t state, unsigned char byte) const noexcept {
  const std::optional<std::uint64_t> found = children_.find(child_key(state, byte));
  return found ? std::optional(static_cast<std::uint32_t>(*found)) : std::nullopt;
}

std::uint32_t AddedTokens::step(std::uint32_t state, unsigned char byte) const noexcept {
  while (true) {
    if (const std::optional<std::uint32_t> next = child(state, byte)) return *next;
    if (state == kEmpty) return kEmpty;
    state = states_[state].shorter;
  }
}

std::optional<AddedTokens::Found> AddedTokens::Search::next(std::size_t from) {
  if (tokens_->tokens_.empty()) return std::nullopt;
  while (true) {
    while (!found_.empty() && found_.back().begin < from) found_.pop_back();
    if (!found_.empty()) return found_.back();
    if (read_ == text_.size()) return std::nullopt;
    read_next_piece();
  }
}

/// Starts reading the length of the longest token behind the piece, because a token that begins in it may end there.
void AddedTokens::Search::read_next_piece() {
  constexpr std::size_t kPieceBytes = std::size_t{1} << 16U;
  const std::size_t begin = read_;
  read_ = std::min(text_.size(), begin + kPieceBytes);
  std::uint32_t state = kEmpty;
  for (std::size_t at = std::min(text_.size(), read_ + tokens_->longest_); at-- > begin;) {
    const auto byte = static_cast<unsigned char>(text_[at]);
    if (state == kEmpty && !tokens_->ends_[byte]) continue;
    state = tokens_->step(state, byte);
    const AddedToken* const token = tokens_->states_[state].token;
    if (token != nullptr && at < read_) found_.push_back({token, at, at + token->content.size()});
  }
}

bool AddedTokens::extend(std::string_view text, std::size_t done, Found& found) const {
  const AddedToken& token = *found.token;
  if (token.single_word) {
    const std::string_view before = text.substr(0, found.begin);
    if (!before.empty() && word_.matches_beginning(last_char(before))) return false;
    if (word_.matches_beginning(text.substr(found.end))) return false;
  }
  if (token.strip_left) {
    while (found.begin > done) {
      const std::string_view character = last_char(text.substr(0, found.begin));
      if (!space_.matches_beginning(character)) break;
      found.begin -= character.size();
    }
  }
  if (token.strip_right) {
    while (space_.matches_beginning(text.substr(found.end))) found.end += char_bytes(text[found.end]);
  }
  return true;
}

}  // namespace ane::text
