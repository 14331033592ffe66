#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ane/text/tokenizer.h"

#include "regex.h"

namespace ane::text {

/// A token that is looked for in the text before anything else happens to it.
struct AddedToken {
  std::string content;
  TokenId id = 0;
  bool single_word = false;  ///< not as a part of a longer word
  bool strip_left = false;   ///< with the spaces before it
  bool strip_right = false;  ///< with the spaces after it
  bool normalized = false;   ///< looked for in the normalized text
  bool special = false;
};

/// Finds added tokens in one pass: of those that begin at the same place the longest one, as Hugging Face's library
/// does.
class AddedTokens {
 public:
  /// Each token is looked for as its content. Throws FileError for a content that is too long.
  explicit AddedTokens(std::vector<AddedToken> tokens);

  /// Calls `text(part, offset)` with what lies between the tokens, which is never empty, and `token(id)` with each
  /// token, from left to right.
  template <class OnText, class OnToken>
  void split(std::string_view text, OnText&& on_text, OnToken&& on_token) const {
    std::size_t done = 0;
    std::size_t from = 0;
    while (const std::optional<Found> found = find(text, from)) {
      from = found->end;
      Found part = *found;
      if (!extend(text, done, part)) continue;
      if (done < part.begin) on_text(text.substr(done, part.begin - done), done);
      on_token(part.token->id);
      done = part.end;
    }
    if (done < text.size()) on_text(text.substr(done), done);
  }

 private:
  struct Found {
    const AddedToken* token = nullptr;
    std::size_t begin = 0;
    std::size_t end = 0;
  };
  /// The next token that begins at or after `from`.
  [[nodiscard]] std::optional<Found> find(std::string_view text, std::size_t from) const;
  [[nodiscard]] const AddedToken* longest_prefix(std::string_view text) const;
  /// Adds the spaces around the token to it, but nothing before `done`. False if it is part of a longer word.
  [[nodiscard]] bool extend(std::string_view text, std::size_t done, Found& found) const;

  std::vector<AddedToken> tokens_;  ///< in the order of their contents
  std::array<bool, 256> begins_{};  ///< first bytes of contents
  Regex word_;
  Regex space_;
};

}  // namespace ane::text
