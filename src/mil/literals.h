#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// Numbers and strings as MIL text writes them, whatever the process's locale is.
namespace ane::mil {

/// The shortest decimal that reads back as `value` if that is short, else a hexadecimal float, which is exact.
[[nodiscard]] std::string format_float(float value);
/// Decimal, exponent, hexadecimal, inf or nan; nothing if it is none of them or does not fit.
[[nodiscard]] std::optional<float> parse_float(const std::string& text);
[[nodiscard]] std::optional<std::int64_t> parse_integer(std::string_view text) noexcept;

/// In quotes, with escapes.
[[nodiscard]] std::string quote(std::string_view text);
/// What stood between the quotes, without escapes; nothing if one of them is unknown.
[[nodiscard]] std::optional<std::string> unescape(std::string_view text);

}  // namespace ane::mil
