#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ane/text/tokenizer.h"

namespace ane::text {

/// Names of tokens and their ids.
class Vocabulary {
 public:
  /// For a file of about `expected` tokens. Ids may have gaps, but not out of proportion.
  explicit Vocabulary(std::size_t expected);

  /// Throws FileError if the id is out of proportion or belongs to another token, or if the name has another id.
  void add(std::string_view name, TokenId id);

  [[nodiscard]] std::optional<TokenId> find(std::string_view name) const;
  /// nullptr if there is no such token. Valid as long as the vocabulary.
  [[nodiscard]] const std::string* name(TokenId id) const noexcept;
  [[nodiscard]] std::size_t count() const noexcept { return ids_.size(); }
  /// One more than the largest id.
  [[nodiscard]] std::size_t end() const noexcept { return names_.size(); }

 private:
  std::size_t limit_;
  std::deque<std::string> storage_;  ///< never moves a string
  std::vector<const std::string*> names_;
  std::unordered_map<std::string_view, TokenId> ids_;
};

}  // namespace ane::text
