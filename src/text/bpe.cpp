#include "bpe.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <span>

#include "ane/core/checksum.h"

#include "byte_alphabet.h"
#include "utf8.h"
#include "word_cache.h"

namespace ane::text {
namespace {

constexpr std::uint64_t pair_key(TokenId left, TokenId right) noexcept { return std::uint64_t{left} << 32U | right; }

}  // namespace

struct Bpe::Scratch {
  /// A token of a word, or part of one, in a doubly linked list.
  struct Symbol {
    static constexpr std::uint32_t kEnd = std::numeric_limits<std::uint32_t>::max();
    static constexpr TokenId kMerged =
        std::numeric_limits<TokenId>::max();  ///< the id of one that became part of another

    TokenId id = 0;
    std::uint32_t previous = kEnd;
    std::uint32_t next = kEnd;
  };

  /// A merge that may be done.
  struct Candidate {
    std::uint64_t order = 0;  ///< the rank, then the place of the left symbol
    TokenId result = 0;

    [[nodiscard]] std::uint32_t place() const noexcept { return static_cast<std::uint32_t>(order); }
    friend bool operator<(const Candidate& a, const Candidate& b) noexcept { return a.order > b.order; }
  };

  WordCache cache;
  std::vector<Symbol> symbols;
  std::vector<Candidate> heap;
};

Bpe::Bpe(const Vocabulary& vocabulary, const std::vector<Merge>& merges, const BpeOptions& options)
    : options_(options), merges_(merges.size()), chars_(vocabulary.count()), neighbors_(std::size_t{1} << 18U) {
  for (const Merge& merge : merges) {
    merges_.set(pair_key(merge.left, merge.right), pair_key(merge.rank, merge.result));
    if (!options_.byte_level) note_neighbors(*vocabulary.name(merge.result));
  }
  index_names(vocabulary);
}

Bpe::~Bpe() = default;

void Bpe::index_names(const Vocabulary& vocabulary) {
  for (TokenId id = 0; id < vocabulary.end(); ++id) {
    const std::string* const name = vocabulary.name(id);
    if (name == nullptr || name->empty()) continue;
    if (!options_.byte_level) {
      if (first_char(*name).size() == name->size()) chars_.set(code_point(*name), id);
      if (options_.ignore_merges) words_.emplace(*name, id);
      continue;
    }
    std::optional<std::string> bytes = from_letters(*name);
    if (!bytes) continue;
    if (bytes->size() == 1) chars_.set(static_cast<unsigned char>(bytes->front()), id);
    if (options_.ignore_merges) words_.emplace(word_bytes_.emplace_back(*std::move(bytes)), id);
  }
}

void Bpe::note_neighbors(std::string_view name) {
  std::optional<std::uint32_t> left;
  while (!name.empty()) {
    const std::string_view character = first_char(name);
    const std::uint32_t point = code_point(character);
    if (left) neighbors_[(*left * 0x9E3779B1U ^ point * 0x85EBCA77U) % neighbors_.size()] = true;
    left = point;
    name.remove_prefix(character.size());
  }
}

bool Bpe::may_join(std::uint32_t left, std::uint32_t right) const noexcept {
  return neighbors_[(left * 0x9E3779B1U ^ right * 0x85EBCA77U) % neighbors_.size()] || !chars_.find(left) ||
         !chars_.find(right);
}

Bpe::Encoder::Encoder(const Bpe& bpe) : bpe_(&bpe) {
  {
    const std::lock_guard lock(bpe.idle_mutex_);
    if (!bpe.idle_.empty()) {
      scratch_ = std::move(bpe.idle_.back());
      bpe.idle_.pop_back();
    }
  }
  if (!scratch_) scratch_ = std::make_unique<Scratch>();
}

Bpe::Encoder::~Encoder() {
  constexpr std::size_t kKeptSymbols = 1U << 16U;
  if (scratch_->symbols.capacity() > kKeptSymbols) {  // after an unusually long word
    scratch_->symbols = {};
    scratch_->heap = {};
  }
  const std::lock_guard lock(bpe_->idle_mutex_);
  bpe_->idle_.push_back(std::move(scratch_));
}

/// Two characters that are adjacent in no token are never merged, so a word can be cut between them. A text without
/// spaces thus becomes short units, which repeat and are found in the cache.
void Bpe::Encoder::append_ids(std::string_view word, std::vector<TokenId>& ids) {
  if (bpe_->options_.byte_level || bpe_->options_.ignore_merges) return append_unit(word, ids);
  std::uint32_t left = 0;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < word.size();) {
    const std::string_view character = first_char(word.substr(at));
    const std::uint32_t point = code_point(character);
    if (at > begin && !bpe_->may_join(left, point)) {
      append_unit(word.substr(begin, at - begin), ids);
      begin = at;
    }
    left = point;
    at += character.size();
  }
  append_unit(word.substr(begin), ids);
}

void Bpe::Encoder::append_unit(std::string_view unit, std::vector<TokenId>& ids) {
  WordCache::Word* const place = scratch_->cache.place(unit);
  if (place != nullptr && WordCache::holds(*place, unit)) {
    ids.insert(ids.end(), place->ids.begin(), place->ids.begin() + place->count);
    return;
  }
  const std::size_t before = ids.size();
  const auto whole = bpe_->words_.find(unit);
  if (whole != bpe_->words_.end()) {
    ids.push_back(whole->second);
  } else {
    read_symbols(unit);
    merge_symbols();
    for (const Scratch::Symbol& symbol : scratch_->symbols)
      if (symbol.id != Scratch::Symbol::kMerged) ids.push_back(symbol.id);
  }
  if (place != nullptr) WordCache::store(unit, std::span(ids).subspan(before), *place);
}

/// The tokens of the unit's characters or bytes. A pending unknown character is written before the next known one, so
/// that the tokens of bytes between the two come first, as in Hugging Face's library.
void Bpe::Encoder::read_symbols(std::string_view unit) {
  const BpeOptions& options = bpe_->options_;
  std::vector<Scratch::Symbol>& symbols = scratch_->symbols;
  symbols.clear();
  bool pending = false;
  const auto add_pending = [&] {
    if (std::exchange(pending, false)) symbols.push_back({*options.unknown});
  };
  const auto add_bytes = [&](std::string_view character) {
    const auto token_of_byte = [&](char byte) { return options.byte_tokens[static_cast<unsigned char>(byte)]; };
    if (!std::all_of(character.begin(), character.end(), token_of_byte)) return false;
    for (const char byte : character) symbols.push_back({*token_of_byte(byte)});
    return true;
  };
  while (!unit.empty()) {
    const std::string_view character = options.byte_level ? unit.substr(0, 1) : first_char(unit);
    unit.remove_prefix(character.size());
    const std::uint32_t number =
        options.byte_level ? static_cast<unsigned char>(character.front()) : code_point(character);
    if (const std::optional<std::uint64_t> id = bpe_->chars_.find(number)) {
      add_pending();
      symbols.push_back({static_cast<TokenId>(*id)});
    } else if (!add_bytes(options.byte_level ? letter_of(static_cast<unsigned char>(character.front())) : character) &&
               options.unknown) {
      if (!options.fuse_unknown) add_pending();
      pending = true;
    }
  }
  add_pending();
}

void Bpe::Encoder::merge_symbols() {
  std::vector<Scratch::Symbol>& symbols = scratch_->symbols;
  std::vector<Scratch::Candidate>& heap = scratch_->heap;
  heap.clear();
  const auto candidate = [&](std::uint32_t left, std::uint32_t right) -> std::optional<Scratch::Candidate> {
    const std::optional<std::uint64_t> found = bpe_->merges_.find(pair_key(symbols[left].id, symbols[right].id));
    if (!found) return std::nullopt;
    return Scratch::Candidate{(*found & ~std::uint64_t{0xFFFFFFFF}) | left, static_cast<TokenId>(*found)};
  };
  const auto offer = [&](std::uint32_t left, std::uint32_t right) {
    if (left == Scratch::Symbol::kEnd || right == Scratch::Symbol::kEnd) return;
    if (const std::optional<Scratch::Candidate> found = candidate(left, right)) {
      heap.push_back(*found);
      std::push_heap(heap.begin(), heap.end());
    }
  };

  const auto count = static_cast<std::uint32_t>(symbols.size());
  for (std::uint32_t i = 0; i < count; ++i) {
    symbols[i].previous = i > 0 ? i - 1 : Scratch::Symbol::kEnd;
    symbols[i].next = i + 1 < count ? i + 1 : Scratch::Symbol::kEnd;
    if (i + 1 == count) break;
    if (const std::optional<Scratch::Candidate> found = candidate(i, i + 1)) heap.push_back(*found);
  }
  std::make_heap(heap.begin(), heap.end());

  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end());
    const Scratch::Candidate best = heap.back();
    heap.pop_back();
    Scratch::Symbol& left = symbols[best.place()];
    if (left.id == Scratch::Symbol::kMerged || left.next == Scratch::Symbol::kEnd) continue;
    // Out of date if one of the two became part of another token in the meantime.
    const std::optional<Scratch::Candidate> now = candidate(best.place(), left.next);
    if (!now || now->result != best.result) continue;
    Scratch::Symbol& right = symbols[left.next];
    left.id = best.result;
    left.next = right.next;
    right.id = Scratch::Symbol::kMerged;
    if (left.next != Scratch::Symbol::kEnd) symbols[left.next].previous = best.place();
    offer(left.previous, best.place());
    offer(best.place(), left.next);
  }
}

}  // namespace ane::text
