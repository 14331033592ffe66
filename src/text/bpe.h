#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "flat_map.h"
#include "vocabulary.h"

namespace ane::text {

/// Two tokens that become one; lower ranks are merged first.
struct Merge {
  TokenId left = 0;
  TokenId right = 0;
  TokenId result = 0;
  std::uint32_t rank = 0;
};

struct BpeOptions {
  bool byte_level = false;           ///< names are in letters of the byte alphabet, and a word begins as its bytes
  bool ignore_merges = false;        ///< a word that is a token is that token, however it would be merged
  bool fuse_unknown = false;         ///< neighboring unknown characters become one token
  std::optional<TokenId> unknown{};  ///< for a character without a token; without it the character is dropped
  /// The token of each byte, for byte fallback: a character that has no token is written as its bytes, if all of them
  /// have one.
  std::array<std::optional<TokenId>, 256> byte_tokens{};
};

/// Byte pair encoding: a word begins as characters or bytes, and the pair of neighbors with the lowest rank becomes one
/// token (the leftmost of equal ones) until no pair can.
class Bpe {
 public:
  /// Refers to `vocabulary`. If a pair occurs twice in `merges`, the last one counts.
  Bpe(const Vocabulary& vocabulary, const std::vector<Merge>& merges, const BpeOptions& options);
  ~Bpe();
  Bpe(const Bpe&) = delete;
  Bpe& operator=(const Bpe&) = delete;

 private:
  struct Scratch;

 public:
  /// Encodes words one after the other. Many may exist at the same time, one for each thread.
  class Encoder {
   public:
    explicit Encoder(const Bpe& bpe);
    ~Encoder();
    Encoder(const Encoder&) = delete;
    Encoder& operator=(const Encoder&) = delete;
    /// Appends the tokens of `word`, valid UTF-8 unless bytes are merged.
    void append_ids(std::string_view word, std::vector<TokenId>& ids);

   private:
    void append_unit(std::string_view unit, std::vector<TokenId>& ids);
    void read_symbols(std::string_view unit);
    void merge_symbols();

    const Bpe* bpe_;
    std::unique_ptr<Scratch> scratch_;
  };

 private:
  [[nodiscard]] std::optional<TokenId> token_of_char(std::string_view character) const;
  [[nodiscard]] bool may_join(std::uint32_t left, std::uint32_t right) const noexcept;
  void note_neighbors(std::string_view name);
  void index_names(const Vocabulary& vocabulary);

  BpeOptions options_;
  FlatMap merges_;               ///< by the ids of the pair; rank and result
  FlatMap chars_;                ///< tokens of one character by code point, or of one byte
  std::vector<bool> neighbors_;  ///< pairs of characters inside tokens, hashed; a pair that is not here is never joined
  std::unordered_map<std::string_view, TokenId> words_;  ///< if merges are ignored
  std::deque<std::string> word_bytes_;                   ///< of words_, if merging bytes
  mutable std::mutex idle_mutex_;
  mutable std::vector<std::unique_ptr<Scratch>> idle_;  ///< of encoders that ended, whose caches are still useful
};

}  // namespace ane::text
