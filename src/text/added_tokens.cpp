#include "added_tokens.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "ane/core/error.h"

#include "utf8.h"

namespace ane::text {

AddedTokens::AddedTokens(std::vector<AddedToken> tokens)
    : tokens_(std::move(tokens)), word_(std::string(kWordOfRustClass)), space_(std::string(kSpaceClass)) {
  constexpr std::size_t kLongest = 1024;  // limits the time that is spent at one place of a text
  for (const AddedToken& token : tokens_) {
    if (token.content.size() > kLongest)
      throw FileError(fmt::format("the token {} has {} bytes, but at most {} are accepted", token.id,
                                  token.content.size(), kLongest));
    begins_.at(static_cast<unsigned char>(token.content.at(0))) = true;
  }
  // The first one of tokens with the same content stays in front.
  std::stable_sort(tokens_.begin(), tokens_.end(),
                   [](const AddedToken& a, const AddedToken& b) { return a.content < b.content; });
}

/// Narrows the range of tokens that begin with the first bytes of the text, byte by byte.
const AddedToken* AddedTokens::longest_prefix(std::string_view text) const {
  const AddedToken* longest = nullptr;
  auto begin = tokens_.begin();
  auto end = tokens_.end();
  for (std::size_t depth = 0; depth < text.size() && begin != end; ++depth) {
    const auto byte = static_cast<unsigned char>(text[depth]);
    const auto byte_of = [depth](const AddedToken& token) {
      return depth < token.content.size() ? static_cast<unsigned char>(token.content[depth]) : -1;
    };
    begin = std::partition_point(begin, end, [&](const AddedToken& token) { return byte_of(token) < byte; });
    end = std::partition_point(begin, end, [&](const AddedToken& token) { return byte_of(token) <= byte; });
    if (begin != end && begin->content.size() == depth + 1) longest = &*begin;
  }
  return longest;
}

std::optional<AddedTokens::Found> AddedTokens::find(std::string_view text, std::size_t from) const {
  if (tokens_.empty()) return std::nullopt;
  for (; from < text.size(); ++from) {
    if (!begins_[static_cast<unsigned char>(text[from])]) continue;
    if (const AddedToken* const token = longest_prefix(text.substr(from)))
      return Found{token, from, from + token->content.size()};
  }
  return std::nullopt;
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
