#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

struct pcre2_real_code_8;
struct pcre2_real_match_context_8;
struct pcre2_real_match_data_8;

namespace ane::text {

/// The same expression in the syntax of PCRE2. Hugging Face's library reads expressions with Oniguruma, which gives
/// some of the same letters another meaning. Throws FileError that names what has no equivalent. Two differences
/// remain: the libraries may know different versions of Unicode, and only Oniguruma takes a ligature for its letters
/// where case is ignored.
[[nodiscard]] std::string from_oniguruma(std::string_view pattern);

/// The characters of words as Rust's library of regular expressions has them in \w, for use in a class of PCRE2.
inline constexpr std::string_view kWordCharacters = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{200C}\x{200D})";

/// A compiled regular expression of PCRE2 over UTF-8. Does not change; may be used by several threads at once.
class Regex {
 public:
  /// Throws FileError if the pattern is not valid.
  explicit Regex(std::string pattern);

  struct Match {
    std::size_t begin = 0;
    std::size_t end = 0;
  };

  /// Finds the matches in one text, from left to right. An empty match that touches the match before it is skipped.
  class Search {
   public:
    /// `text` is valid UTF-8 and must outlive the search.
    Search(const Regex& regex, std::string_view text);
    /// Throws FileError if the expression needs too many steps.
    [[nodiscard]] std::optional<Match> next();

   private:
    struct Free {
      void operator()(pcre2_real_match_data_8* data) const noexcept;
    };
    [[nodiscard]] std::optional<Match> find();

    const Regex* regex_;
    std::string_view text_;
    std::unique_ptr<pcre2_real_match_data_8, Free> data_;
    std::size_t from_ = 0;
    std::optional<std::size_t> last_end_;
  };

  /// Whether the pattern matches at the beginning of `text`, which is valid UTF-8.
  [[nodiscard]] bool matches_beginning(std::string_view text) const;

 private:
  struct Free {
    void operator()(pcre2_real_code_8* code) const noexcept;
    void operator()(pcre2_real_match_context_8* context) const noexcept;
  };
  std::string pattern_;
  std::unique_ptr<pcre2_real_code_8, Free> code_;
  std::unique_ptr<pcre2_real_match_context_8, Free> limits_;
};

}  // namespace ane::text
