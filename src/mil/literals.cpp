#include "literals.h"

#include <array>
#include <bit>
#include <charconv>
#include <clocale>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <type_traits>

#include <fmt/format.h>

#ifdef __APPLE__
#include <xlocale.h>
#endif

namespace ane::mil {
namespace {

/// Decimals up to this length are easier to read than hexadecimal.
constexpr std::size_t kShortDecimal = 6;

/// IEEE 754 binary32.
constexpr int kFractionBits = 23;
constexpr int kBias = 127;

struct FreeLocale {
  void operator()(locale_t locale) const noexcept { freelocale(locale); }
};
using OwnedLocale = std::unique_ptr<std::remove_pointer_t<locale_t>, FreeLocale>;

locale_t c_locale() {
  static const OwnedLocale locale(newlocale(LC_ALL_MASK, "C", nullptr));
  return locale.get();
}

std::string format_hexadecimal(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  auto fraction = bits & ((1U << kFractionBits) - 1);
  int exponent = static_cast<int>((bits >> kFractionBits) & 0xFFU) - kBias;
  if (exponent == -kBias) {  // subnormal: normalize so that its first bit is before the point
    const int shift = std::countl_zero(fraction) - (31 - kFractionBits);
    fraction = (fraction << shift) & ((1U << kFractionBits) - 1);
    exponent = 1 - kBias - shift;
  }
  std::string digits = fmt::format("{:06x}", fraction << 1);  // 23 bits and one to fill the sixth digit
  digits.erase(digits.find_last_not_of('0') + 1);
  return fmt::format("{}0x1{}{}p{:+d}", std::signbit(value) ? "-" : "", digits.empty() ? "" : ".", digits, exponent);
}

std::optional<char> escaped(char letter) noexcept {
  switch (letter) {
    case 'n':
      return '\n';
    case 't':
      return '\t';
    case 'r':
      return '\r';
    case '"':
    case '\'':
    case '\\':
      return letter;
    default:
      return std::nullopt;
  }
}

}  // namespace

std::string format_float(float value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  std::string decimal = fmt::format("{}", value);
  if (decimal.size() > kShortDecimal) return format_hexadecimal(value);
  if (decimal.find_first_of(".e") == std::string::npos) decimal += ".0";
  return decimal;
}

std::optional<float> parse_float(const std::string& text) {
  char* end = nullptr;
  const float value = strtof_l(text.c_str(), &end, c_locale());
  if (text.empty() || end != text.c_str() + text.size()) return std::nullopt;
  const bool names_infinity = text.find('i') != std::string::npos || text.find('I') != std::string::npos;
  if (std::isinf(value) && !names_infinity) return std::nullopt;
  return value;
}

std::optional<std::int64_t> parse_integer(std::string_view text) noexcept {
  if (text.starts_with('+')) {
    text.remove_prefix(1);
    if (text.starts_with('-')) return std::nullopt;
  }
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string quote(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (c == '\n') {
      quoted += "\\n";
    } else if (c == '\t') {
      quoted += "\\t";
    } else if (c == '\r') {
      quoted += "\\r";
    } else {
      quoted += c;
    }
  }
  return quoted += '"';
}

std::optional<std::string> unescape(std::string_view text) {
  std::string plain;
  plain.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      plain += text[i];
      continue;
    }
    if (++i == text.size()) return std::nullopt;
    const auto c = escaped(text[i]);
    if (!c) return std::nullopt;
    plain += *c;
  }
  return plain;
}

}  // namespace ane::mil
