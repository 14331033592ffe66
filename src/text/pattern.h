#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "regex.h"

namespace ane::text {

/// A part of a text that is a match of a pattern, or lies between two.
struct Part {
  std::size_t begin = 0;
  std::size_t end = 0;
  bool matched = false;
};

/// A string or a regular expression to look for.
class Pattern {
 public:
  explicit Pattern(std::string literal) : what_(std::move(literal)) {}
  explicit Pattern(Regex regex) : what_(std::move(regex)) {}

  /// Calls `take` with each part of `text`, from left to right.
  template <class Take>
  void for_each_part(std::string_view text, Take&& take) const {
    std::size_t done = 0;
    const auto pass = [&](Regex::Match match) {
      if (done < match.begin) take(Part{done, match.begin, false});
      take(Part{match.begin, match.end, true});
      done = match.end;
    };
    if (const auto* const literal = std::get_if<std::string>(&what_)) {
      for (std::size_t at = 0; !literal->empty() && (at = text.find(*literal, at)) != std::string_view::npos;) {
        pass({at, at + literal->size()});
        at += literal->size();
      }
    } else if (!text.empty()) {
      Regex::Search search(std::get<Regex>(what_), text);
      while (const auto match = search.next()) pass(*match);
    }
    if (done < text.size()) take(Part{done, text.size(), false});
  }

 private:
  std::variant<std::string, Regex> what_;
};

/// What happens to the matches when a text is split by a pattern.
enum class SplitBehavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };

/// Calls `emit` with the pieces of `text`, none of which is empty. If `inverted`, what lies between the matches counts
/// as a match.
template <class Emit>
void split_text(std::string_view text, const Pattern& pattern, SplitBehavior behavior, bool inverted, Emit&& emit) {
  const auto join = [&](const Part& part, const Part& next) {
    switch (behavior) {
      case SplitBehavior::contiguous:
        return part.matched == next.matched;
      case SplitBehavior::merged_with_previous:
        return !part.matched && next.matched;
      case SplitBehavior::merged_with_next:
        return part.matched && !next.matched;
      default:
        return false;
    }
  };
  const auto finish = [&](const Part& part) {
    const bool removed = part.matched && behavior == SplitBehavior::removed;
    if (!removed && part.begin < part.end) emit(text.substr(part.begin, part.end - part.begin), part.begin == 0);
  };
  Part open;
  bool is_open = false;
  pattern.for_each_part(text, [&](Part part) {
    if (inverted) part.matched = !part.matched;
    if (is_open && join(open, part)) {
      open.end = part.end;
      open.matched = part.matched;
      return;
    }
    if (is_open) finish(open);
    open = part;
    is_open = true;
  });
  if (is_open) finish(open);
}

}  // namespace ane::text
