#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

/// Text utilities of the command line.
namespace ane::cli {

/// Parses all of `text` as a decimal integer with an optional leading minus, without blanks; nullopt if it is not one.
[[nodiscard]] std::optional<std::int64_t> parse_integer(std::string_view text);
/// The same for a finite real number, with optional fraction and exponent.
[[nodiscard]] std::optional<double> parse_real(std::string_view text);

/// "'x' is not EXPECTED", for a message about a value.
[[nodiscard]] std::string wrong_value(std::string_view value, std::string_view expected);

/// "; did you mean NAME?" for the candidate nearest to `word`, or the one that is known by that name in other programs;
/// empty if there is none.
[[nodiscard]] std::string did_you_mean(std::string_view word, std::span<const std::string> candidates);

/// `word` quoted for a POSIX shell.
[[nodiscard]] std::string shell_quoted(std::string_view word);

/// Serializes named texts, one per line; all bytes but NUL are preserved. unpack_fields() reads them back.
using Fields = std::map<std::string, std::string, std::less<>>;
[[nodiscard]] std::string pack_fields(const Fields& fields);
[[nodiscard]] Fields unpack_fields(std::string_view text);

/// FNV-1a hash, the same on every machine.
[[nodiscard]] std::uint64_t fnv1a(std::span<const std::byte> bytes) noexcept;

/// Removes the arbitrary sign of a NaN, which would be printed.
[[nodiscard]] double signless(double value) noexcept;

/// "2:05" or "1:02:05"; "?" for a time that is not finite, negative or longer than 100 hours.
[[nodiscard]] std::string clock_text(double seconds);

/// "870", "14.1k", "1.25M".
[[nodiscard]] std::string count_text(double count);

/// "1.5 MB", "380 KB": decimal units.
[[nodiscard]] std::string human_bytes(double bytes);

}  // namespace ane::cli
