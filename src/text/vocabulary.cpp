#include "vocabulary.h"

#include <algorithm>

#include <fmt/format.h>

#include "ane/core/error.h"

namespace ane::text {

Vocabulary::Vocabulary(std::size_t expected) {
  constexpr std::size_t kMostIds = std::size_t{1} << 24U;
  constexpr std::size_t kFreeIds = 65536;
  constexpr std::size_t kMostIdsPerToken = 8;
  limit_ = std::min(kMostIds, kFreeIds + kMostIdsPerToken * expected);
  ids_.reserve(expected);
}

void Vocabulary::add(std::string_view name, TokenId id) {
  if (id >= limit_)
    throw FileError(
        fmt::format("token '{}' has the id {}; with so few tokens, ids below {} are accepted", name, id, limit_));
  if (id >= names_.size()) names_.resize(id + std::size_t{1});
  if (names_[id] != nullptr)
    throw FileError(fmt::format("the tokens '{}' and '{}' have the same id {}", *names_[id], name, id));
  if (ids_.contains(name)) throw FileError(fmt::format("the token '{}' has two ids", name));
  names_[id] = &storage_.emplace_back(name);
  ids_.emplace(*names_[id], id);
}

std::optional<TokenId> Vocabulary::find(std::string_view name) const {
  const auto found = ids_.find(name);
  return found == ids_.end() ? std::nullopt : std::optional(found->second);
}

const std::string* Vocabulary::name(TokenId id) const noexcept { return id < names_.size() ? names_[id] : nullptr; }

}  // namespace ane::text
