#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ane/text/tokenizer.h"

namespace ane::text {

/// Turns tokens that arrive one by one into text that can be shown at once: characters are never split, and text that
/// may be the beginning of the stop text is withheld until it is certain whether it is.
class TextStream {
 public:
  using Decode = std::function<std::string(std::span<const TokenId>)>;

  /// The text continues that of `before`, whose end decides whether it begins with a space. `stop`: the text that ends
  /// the stream; empty if there is none.
  TextStream(Decode decode, std::span<const TokenId> before, std::string stop);

  /// Returns the text that is complete with this token; after the stop text has appeared, nothing.
  [[nodiscard]] std::string add(TokenId token);
  /// What was withheld, at the end.
  [[nodiscard]] std::string finish();
  /// Whether the stop text has appeared. It is not part of the text.
  [[nodiscard]] bool is_stopped() const noexcept { return stopped_; }

 private:
  [[nodiscard]] std::string decode_from(std::size_t first) const;
  [[nodiscard]] std::string release(bool at_end);

  Decode decode_;
  std::vector<TokenId> tokens_;
  std::size_t context_ = 0;  ///< first token that the text of a new one is decoded with
  std::size_t decoded_ = 0;  ///< number of tokens whose text is in `pending_`
  std::string pending_;      ///< decoded, but not yet returned
  std::string stop_;
  bool stopped_ = false;
};

}  // namespace ane::text
