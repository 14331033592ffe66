#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <tuple>
#include <vector>

#include "ane/core/checksum.h"
#include "ane/text/tokenizer.h"

namespace ane::text {

/// The tokens of words that were encoded lately. A word can be in one place only, where it replaces another.
class WordCache {
 public:
  struct Word {
    std::uint8_t bytes = 0;  ///< 0: empty
    std::uint8_t count = 0;
    std::array<char, 30> text;
    std::array<TokenId, 8> ids;
  };
  static_assert(sizeof(Word) == 64, "a word is one cache line");

  WordCache() : words_(kPlaces) {}

  /// The place of `text`; nullptr if it is too long.
  Word* place(std::string_view text) {
    if (text.empty() || text.size() > std::tuple_size_v<decltype(Word::text)>) return nullptr;
    return &words_[checksum_of(std::as_bytes(std::span(text))) % kPlaces];
  }
  static bool holds(const Word& word, std::string_view text) {
    return word.bytes == text.size() && std::memcmp(word.text.data(), text.data(), text.size()) == 0;
  }
  static void store(std::string_view text, std::span<const TokenId> ids, Word& word) {
    if (ids.size() > word.ids.size()) return;
    word.bytes = static_cast<std::uint8_t>(text.size());
    word.count = static_cast<std::uint8_t>(ids.size());
    std::memcpy(word.text.data(), text.data(), text.size());
    std::copy(ids.begin(), ids.end(), word.ids.begin());
  }

 private:
  static constexpr std::size_t kPlaces = 16384;
  std::vector<Word> words_;
};

}  // namespace ane::text
