#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ane/text/tokenizer.h"

namespace ane::text {

/// Encodes texts of any length that arrive in pieces, with little memory. The tokens are those of the whole text: it is
/// cut only before a single space or line break where the tokens on both sides were compared with those of the uncut
/// text around it.
class StreamEncoder {
 public:
  static constexpr std::size_t kPieceBytes = std::size_t{4} << 20U;

  /// `tokenizer` must outlive the encoder. About `piece_bytes` of text are encoded at once; more if a text has no place
  /// to cut it.
  StreamEncoder(const Tokenizer& tokenizer, SpecialTokens special, std::size_t piece_bytes = kPieceBytes);

  /// Appends to `ids` the tokens that are certain after `text`, which may end within a character. Throws FileError like
  /// Tokenizer::encode().
  void append(std::string_view text, std::vector<TokenId>& ids);
  /// Appends the remaining tokens. After that, another text may begin.
  void finish(std::vector<TokenId>& ids);

 private:
  struct Cut {
    std::size_t at = 0;
    std::size_t skipped = 0;  ///< bytes after it that the tokenizer adds itself
  };
  void start(std::vector<TokenId>& ids);
  [[nodiscard]] std::optional<Cut> find_cut() const;
  [[nodiscard]] std::optional<Cut> try_cut(std::size_t at) const;

  const Tokenizer* tokenizer_;
  SpecialTokens special_;
  std::size_t piece_bytes_;
  std::size_t wanted_bytes_;  ///< before the next cut is looked for
  std::string rest_;
  bool started_ = false;
};

}  // namespace ane::text
