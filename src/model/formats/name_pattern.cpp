#define PCRE2_CODE_UNIT_WIDTH 8
#include "formats/name_pattern.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

#include <fmt/format.h>
#include <pcre2.h>

#include "ane/core/error.h"

namespace ane::model {
namespace {

constexpr std::uint32_t kMostSteps = 100'000;       // of one match; a usual expression needs hundreds
constexpr std::uint32_t kMostHeapKib = 16U << 10U;  // of one match
constexpr std::size_t kMostBytes = 16U << 10U;      // of the expression
constexpr std::size_t kMostShown = 200;

PCRE2_SPTR8 as_units(std::string_view text) { return reinterpret_cast<PCRE2_SPTR8>(text.data()); }

[[noreturn]] void refuse(const std::string& expression, int error) {
  std::array<PCRE2_UCHAR8, 256> text{};
  pcre2_get_error_message_8(error, text.data(), text.size());
  throw UsageError(fmt::format("the regular expression '{}' cannot be used: {}",
                               expression.size() > kMostShown ? "..." : expression,
                               reinterpret_cast<const char*>(text.data())));
}

}  // namespace

void NamePattern::Free::operator()(pcre2_code_8* code) const noexcept { pcre2_code_free_8(code); }

NamePattern::NamePattern(std::string expression) : expression_(std::move(expression)) {
  if (expression_.size() > kMostBytes)
    throw UsageError(fmt::format("a regular expression of {} bytes is too long; at most {} are accepted",
                                 expression_.size(), kMostBytes));
  int error = 0;
  PCRE2_SIZE place = 0;
  constexpr std::uint32_t kOptions = PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED | PCRE2_ENDANCHORED;
  code_.reset(pcre2_compile_8(as_units(expression_), expression_.size(), kOptions, &error, &place, nullptr));
  if (!code_) refuse(expression_, error);
}

bool NamePattern::matches(std::string_view name) const {
  const std::unique_ptr<pcre2_match_data_8, decltype(&pcre2_match_data_free_8)> data(
      pcre2_match_data_create_8(1, nullptr), pcre2_match_data_free_8);
  const std::unique_ptr<pcre2_match_context_8, decltype(&pcre2_match_context_free_8)> limits(
      pcre2_match_context_create_8(nullptr), pcre2_match_context_free_8);
  if (!data || !limits) throw std::bad_alloc();
  pcre2_set_match_limit_8(limits.get(), kMostSteps);
  pcre2_set_heap_limit_8(limits.get(), kMostHeapKib);
  const int found = pcre2_match_8(code_.get(), as_units(name), name.size(), 0, 0, data.get(), limits.get());
  if (found < 0 && found != PCRE2_ERROR_NOMATCH) refuse(expression_, found);
  return found >= 0;
}

}  // namespace ane::model
