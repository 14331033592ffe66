#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ane/text/tokenizer.h"

#include "flat_map.h"
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
/// does. The automaton of Aho and Corasick reads the text backwards, so that in each place it knows the longest token
/// that begins there.
class AddedTokens {
 public:
  /// Each token is looked for as its content. Throws FileError if they are too long.
  explicit AddedTokens(std::vector<AddedToken> tokens);
  AddedTokens(const AddedTokens&) = delete;
  AddedTokens& operator=(const AddedTokens&) = delete;

  /// Calls `on_text(part, offset)` with what lies between the tokens, which is never empty, and `on_token(id)` with
  /// each token, from left to right.
  template <class OnText, class OnToken>
  void split(std::string_view text, OnText&& on_text, OnToken&& on_token) const {
    Search search(*this, text);
    std::size_t done = 0;
    std::size_t from = 0;
    while (const std::optional<Found> found = search.next(from)) {
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
  /// The tokens in one text.
  class Search {
   public:
    Search(const AddedTokens& tokens, std::string_view text) : tokens_(&tokens), text_(text) {}
    /// The next token that begins at or after `from`, which must not decrease.
    [[nodiscard]] std::optional<Found> next(std::size_t from);

   private:
    void read_next_piece();

    const AddedTokens* tokens_;
    std::string_view text_;
    std::size_t read_ = 0;      ///< what was read of the text
    std::vector<Found> found_;  ///< in the piece that was read last; the first one is at the end
  };
  /// A state of the automaton: a string that is the end of a token.
  struct State {
    std::uint32_t shorter = 0;          ///< the longest state that this one's string ends with, read backwards
    const AddedToken* token = nullptr;  ///< the longest token that the string begins with
  };

  void add_states(const AddedToken& token);
  void connect_states();
  [[nodiscard]] std::optional<std::uint32_t> child(std::uint32_t state, unsigned char byte) const noexcept;
  /// The state after `byte` was put in front of the state's string.
  [[nodiscard]] std::uint32_t step(std::uint32_t state, unsigned char byte) const noexcept;
  /// Adds the spaces around the token to it, but nothing before `done`. False if it is part of a longer word.
  [[nodiscard]] bool extend(std::string_view text, std::size_t done, Found& found) const;

  std::vector<AddedToken> tokens_;
  std::size_t longest_ = 0;
  std::vector<State> states_;     ///< the first one is the empty string
  FlatMap children_;              ///< by state and byte
  std::array<bool, 256> ends_{};  ///< last bytes of tokens
  Regex word_;
  Regex space_;
};

}  // namespace ane::text
