#define PCRE2_CODE_UNIT_WIDTH 8
#include "regex.h"

#include <array>
#include <new>
#include <utility>

#include <fmt/format.h>
#include <pcre2.h>

#include "ane/core/error.h"

#include "utf8.h"

namespace ane::text {
namespace {

constexpr std::uint32_t kMostSteps = 100'000'000;    // of one match: about a second
constexpr std::uint32_t kMostHeapKib = 256U << 10U;  // of one match
constexpr std::size_t kMostPatternBytes = 64U << 10U;

PCRE2_SPTR8 bytes_of(std::string_view text) { return reinterpret_cast<PCRE2_SPTR8>(text.data()); }

std::string message_of(int error) {
  std::array<PCRE2_UCHAR8, 256> text{};
  pcre2_get_error_message_8(error, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

/// The expression in messages.
std::string shown(std::string_view pattern) {
  constexpr std::size_t kLongest = 200;
  if (pattern.size() <= kLongest) return fmt::format("'{}'", pattern);
  return fmt::format("'{}...'", to_utf8(pattern.substr(0, kLongest)));
}

}  // namespace

void Regex::Free::operator()(pcre2_code_8* code) const noexcept { pcre2_code_free_8(code); }
void Regex::Free::operator()(pcre2_match_context_8* context) const noexcept { pcre2_match_context_free_8(context); }
void Regex::Search::Free::operator()(pcre2_match_data_8* data) const noexcept { pcre2_match_data_free_8(data); }

Regex::Regex(std::string pattern) : pattern_(std::move(pattern)) {
  if (pattern_.size() > kMostPatternBytes)
    throw FileError(fmt::format("a regular expression of {} bytes is too long; at most {} are accepted",
                                pattern_.size(), kMostPatternBytes));
  const std::unique_ptr<pcre2_compile_context_8, decltype(&pcre2_compile_context_free_8)> context(
      pcre2_compile_context_create_8(nullptr), pcre2_compile_context_free_8);
  if (!context) throw std::bad_alloc();
  pcre2_set_newline_8(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  PCRE2_SIZE place = 0;
  code_.reset(pcre2_compile_8(bytes_of(pattern_), pattern_.size(), PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE, &error,
                              &place, context.get()));
  if (!code_)
    throw FileError(fmt::format("the regular expression {} cannot be used: {} (after {} bytes)", shown(pattern_),
                                message_of(error), place));
  pcre2_jit_compile_8(code_.get(), PCRE2_JIT_COMPLETE);  // without it, matching is slower
  limits_.reset(pcre2_match_context_create_8(nullptr));
  if (!limits_) throw std::bad_alloc();
  pcre2_set_match_limit_8(limits_.get(), kMostSteps);
  pcre2_set_heap_limit_8(limits_.get(), kMostHeapKib);
}

Regex::Search::Search(const Regex& regex, std::string_view text)
    : regex_(&regex), text_(text), data_(pcre2_match_data_create_8(1, nullptr)) {
  if (!data_) throw std::bad_alloc();
}

std::optional<Regex::Match> Regex::Search::find() {
  const auto match = [&](std::uint32_t options) {
    return pcre2_match_8(regex_->code_.get(), bytes_of(text_), text_.size(), from_, options, data_.get(),
                         regex_->limits_.get());
  };
  int found = match(PCRE2_NO_UTF_CHECK);
  // Compiled code has a stack of fixed size; the interpreter takes memory as it needs it.
  if (found == PCRE2_ERROR_JIT_STACKLIMIT) found = match(PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT);
  if (found == PCRE2_ERROR_NOMATCH) return std::nullopt;
  if (found < 0)
    throw FileError(fmt::format("the regular expression {} fails on byte {} of a text of {} bytes: {}",
                                shown(regex_->pattern_), from_, text_.size(), message_of(found)));
  const PCRE2_SIZE* const offsets = pcre2_get_ovector_pointer_8(data_.get());
  return Match{offsets[0], offsets[1]};
}

std::optional<Regex::Match> Regex::Search::next() {
  while (from_ <= text_.size()) {
    const std::optional<Match> match = find();
    if (!match) return std::nullopt;
    if (match->begin == match->end && last_end_ == match->end) {
      from_ += from_ < text_.size() ? char_bytes(text_[from_]) : 1;
      continue;
    }
    from_ = match->end;
    last_end_ = match->end;
    return match;
  }
  return std::nullopt;
}

bool Regex::matches_beginning(std::string_view text) const {
  if (text.empty()) return false;
  const std::optional<Match> match = Search(*this, first_char(text)).next();
  return match && match->begin == 0;
}

}  // namespace ane::text
