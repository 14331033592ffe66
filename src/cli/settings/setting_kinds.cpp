#include "setting_kinds.h"

#include <limits>

#include "ane/cli/text.h"
#include "ane/core/precision.h"

namespace ane::cli {
namespace {

constexpr std::string_view kNoScaling = "none";
constexpr std::string_view kLlama3 = "llama3";

/// Whether the value that training uses is in the interval.
bool holds(const Interval& range, double value) {
  if (value < range.least || value > range.most || (range.positive && value <= 0)) return false;
  const std::optional<float> used = to_fp32(value);
  return used && (!range.open || *used < static_cast<float>(range.most));
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  std::size_t begin = 0;
  for (std::size_t end = 0; (end = text.find(separator, begin)) != std::string_view::npos; begin = end + 1)
    parts.push_back(text.substr(begin, end - begin));
  parts.push_back(text.substr(begin));
  return parts;
}

/// Parses "llama3:8:1:4:8192".
std::optional<model::RopeScaling> parse_scaling(std::string_view text) {
  constexpr std::int64_t kMostPositions = 1000000;
  const std::vector<std::string_view> parts = split(text, ':');
  if (parts.size() != 5 || parts[0] != kLlama3) return std::nullopt;
  const auto factor = parse_real(parts[1]);
  const auto low = parse_real(parts[2]);
  const auto high = parse_real(parts[3]);
  const auto positions = parse_integer(parts[4]);
  if (!factor || !low || !high || !positions) return std::nullopt;
  if (*factor <= 0 || *low <= 0 || *high <= *low || *positions <= 0 || *positions > kMostPositions) return std::nullopt;
  return model::RopeScaling{*factor, *low, *high, static_cast<std::size_t>(*positions)};
}

}  // namespace

Setting whole(Setting row, Field<std::int64_t> field, std::int64_t least, std::int64_t most, Word zero) {
  row.kind = ValueKind::number;
  row.expects = fmt::format("a whole number from {} to {}", least, most);
  if (!zero.word.empty()) row.expects += fmt::format(" or '{}'", zero.word);
  row.assign = [=](std::string_view text, Settings& settings) {
    const std::optional<std::int64_t> value =
        !zero.word.empty() && text == zero.word ? std::optional<std::int64_t>(0) : parse_integer(text);
    if (!value || (text != zero.word && (*value < least || *value > most))) return false;
    field.in(settings) = *value;
    return true;
  };
  row.show = [=](const Settings& settings) {
    const std::int64_t value = field.in(settings);
    return value == 0 && !zero.word.empty() ? std::string(zero.word) : fmt::format("{}", value);
  };
  return row;
}

Setting real(Setting row, Field<double> field, Interval range, Word zero) {
  row.kind = ValueKind::number;
  row.expects = fmt::format("a number {} {} {} {}{} in fp32", range.positive ? "above" : "from", range.least,
                            range.positive ? "up to" : "to", range.open ? "below " : "", range.most);
  if (range.least == 0 && !range.positive)
    row.expects += fmt::format(" (0, or at least {:.2g})", std::numeric_limits<float>::min());
  if (!zero.word.empty()) row.expects += fmt::format(" or '{}'", zero.word);
  row.assign = [=](std::string_view text, Settings& settings) {
    const bool is_word = !zero.word.empty() && text == zero.word;
    const std::optional<double> value = is_word ? std::optional<double>(0) : parse_real(text);
    if (!value) return false;
    if (!is_word && !holds(range, *value)) return false;
    field.in(settings) = *value;
    return true;
  };
  row.show = [=](const Settings& settings) {
    const double value = field.in(settings);
    return value == 0 && !zero.word.empty() ? std::string(zero.word) : fmt::format("{}", value);
  };
  return row;
}

Setting text(Setting row, Field<std::string> field) {
  row.kind = ValueKind::text;
  if (row.expects.empty()) row.expects = "a name or path";
  row.assign = [=](std::string_view value, Settings& settings) {
    if (value.empty()) return false;
    field.in(settings) = value;
    return true;
  };
  row.show = [=](const Settings& settings) { return field.in(settings); };
  return row;
}

Setting toggle(Setting row, Field<bool> field) {
  row.kind = ValueKind::toggle;
  row.expects = "true or false";
  row.assign = [=](std::string_view word, Settings& settings) {
    if (word != "true" && word != "false") return false;
    field.in(settings) = word == "true";
    return true;
  };
  row.show = [=](const Settings& settings) { return std::string(field.in(settings) ? "true" : "false"); };
  return row;
}

Setting rope_scaling(Setting row, Field<std::optional<model::RopeScaling>> field) {
  row.kind = ValueKind::text;
  row.expects = "none or llama3:FACTOR:LOW:HIGH:POSITIONS, such as llama3:8:1:4:8192";
  row.assign = [=](std::string_view text, Settings& settings) {
    const std::optional<model::RopeScaling> scaling = parse_scaling(text);
    if (!scaling && text != kNoScaling) return false;
    field.in(settings) = scaling;
    return true;
  };
  row.show = [=](const Settings& settings) { return scaling_text(field.in(settings)); };
  return row;
}

std::string scaling_text(const std::optional<model::RopeScaling>& scaling) {
  if (!scaling) return std::string(kNoScaling);
  return fmt::format("{}:{}:{}:{}:{}", kLlama3, scaling->factor, scaling->low_freq_factor, scaling->high_freq_factor,
                     scaling->original_positions);
}

}  // namespace ane::cli
