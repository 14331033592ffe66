#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// Numbers and strings in MIL text, independent of the process's locale.
namespace ane::mil {

/// The shortest decimal that reads back as `value` if that is short, else a hexadecimal float, which is exact.
[[nodiscard]] std::string format_float(float value);
/// Parses decimal, exponent, hexadecimal, inf or nan; nullopt if it is none of them or out of range.
[[nodiscard]] std::optional<float> parse_float(const std::string& text);
[[nodiscard]] std::optional<std::int64_t> parse_integer(std::string_view text) noexcept;

/// In quotes, with escapes.
[[nodiscard]] std::string quote(std::string_view text);
/// Resolves the escapes in the part between quotes; nullopt if one is unknown.
[[nodiscard]] std::optional<std::string> unescape(std::string_view text);

}  // namespace ane::mil
