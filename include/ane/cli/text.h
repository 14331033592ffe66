#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

/// Small things about text that the command line needs.
namespace ane::cli {

/// The whole of `text` as a decimal number: no blanks, no sign but a leading minus, nothing after it.
[[nodiscard]] std::optional<std::int64_t> parse_integer(std::string_view text);
/// The same for a finite real number, with optional fraction and exponent.
[[nodiscard]] std::optional<double> parse_real(std::string_view text);

/// "; did you mean NAME?" for the candidate that `word` is most likely a slip of; empty if none is near.
[[nodiscard]] std::string did_you_mean(std::string_view word, std::span<const std::string> candidates);

/// `word` as a POSIX shell would read it back as one word.
[[nodiscard]] std::string shell_quoted(std::string_view word);

/// Named texts as one text, a line each; any bytes but NUL are kept. unpack_fields() reads what pack_fields() wrote.
using Fields = std::map<std::string, std::string, std::less<>>;
[[nodiscard]] std::string pack_fields(const Fields& fields);
[[nodiscard]] Fields unpack_fields(std::string_view text);

/// FNV-1a: tells whether bytes are the same, on every machine.
[[nodiscard]] std::uint64_t fnv1a(std::span<const std::byte> bytes) noexcept;

/// "1.5 MB", "380 KB": decimal units.
[[nodiscard]] std::string human_bytes(double bytes);

}  // namespace ane::cli
