#include "ane/cli/text.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <numeric>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace ane::cli {

std::optional<std::int64_t> parse_integer(std::string_view text) {
  std::int64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

std::optional<double> parse_real(std::string_view text) {
  // strtod also accepts blanks, hexadecimal, "inf" and "nan"; libc++ has no from_chars for floats yet.
  if (text.empty() || text.find_first_not_of("0123456789.eE+-") != std::string_view::npos) return std::nullopt;
  const std::string copy(text);
  char* stop = nullptr;
  const double value = std::strtod(copy.c_str(), &stop);
  if (stop != copy.c_str() + copy.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

namespace {

/// Levenshtein distance.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

/// A setting's name in other training programs, and in this one.
struct Synonym {
  std::string_view theirs;
  std::string_view ours;
};
constexpr std::array kSynonyms = {Synonym{"batch-size", "accum-steps"},
                                  Synonym{"gradient-accumulation-steps", "accum-steps"},
                                  Synonym{"iters", "steps"},
                                  Synonym{"max-iters", "steps"},
                                  Synonym{"max-steps", "steps"},
                                  Synonym{"epochs", "steps"},
                                  Synonym{"num-epochs", "steps"},
                                  Synonym{"num-train-epochs", "steps"},
                                  Synonym{"warmup-iters", "warmup"},
                                  Synonym{"warmup-steps", "warmup"},
                                  Synonym{"learning-rate", "lr"},
                                  Synonym{"block-size", "seq"},
                                  Synonym{"max-seq-length", "seq"},
                                  Synonym{"n-layer", "layers"},
                                  Synonym{"n-head", "heads"},
                                  Synonym{"n-embd", "dim"},
                                  Synonym{"vocab-size", "vocab"},
                                  Synonym{"eval-interval", "val-every"},
                                  Synonym{"eval-iters", "val-samples"},
                                  Synonym{"val-batches", "val-samples"},
                                  Synonym{"val-fraction", "val-samples"},
                                  Synonym{"out-dir", "checkpoint-dir"},
                                  Synonym{"output-dir", "checkpoint-dir"},
                                  Synonym{"save-every", "checkpoint-every"},
                                  Synonym{"generate", "sample"},
                                  Synonym{"log-interval", "log-every"}};

/// The name without what distinguishes a flag, a variable and a key: "ANE_ACCUM_STEPS" and "--accum-steps" are
/// "accum-steps".
std::string bare_name(std::string_view word) {
  for (const std::string_view prefix : {"--", "ANE_"})
    if (word.starts_with(prefix)) word.remove_prefix(prefix.size());
  std::string name;
  for (const char c : word) name += c == '_' ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return name;
}

const std::string* find_synonym(std::string_view word, std::span<const std::string> candidates) {
  const std::string name = bare_name(word);
  const auto* const synonym =
      std::find_if(kSynonyms.begin(), kSynonyms.end(), [&](const Synonym& s) { return s.theirs == name; });
  if (synonym == kSynonyms.end()) return nullptr;
  const auto found = std::find_if(candidates.begin(), candidates.end(),
                                  [&](const std::string& candidate) { return bare_name(candidate) == synonym->ours; });
  return found == candidates.end() ? nullptr : &*found;
}

}  // namespace

std::string wrong_value(std::string_view value, std::string_view expected) {
  if (value.empty()) return fmt::format("the value is empty; expected {}", expected);
  return fmt::format("'{}' is not {}", value, expected);
}

std::string did_you_mean(std::string_view word, std::span<const std::string> candidates) {
  if (const std::string* const ours = find_synonym(word, candidates)) return fmt::format("; did you mean {}?", *ours);
  const std::string* nearest = nullptr;
  std::size_t least = std::max<std::size_t>(2, word.size() / 3) + 1;  // farther than this is another word, not a typo
  for (const std::string& candidate : candidates) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < least) {
      least = distance;
      nearest = &candidate;
    }
  }
  return nearest == nullptr ? "" : fmt::format("; did you mean {}?", *nearest);
}

std::string shell_quoted(std::string_view word) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string_view::npos) return std::string(word);
  std::string quoted = "'";
  for (const char c : word) {
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

std::string pack_fields(const Fields& fields) {
  std::string text;
  for (const auto& [name, value] : fields) {
    text += name + '=';
    for (const char c : value) text += c == '\n' ? "\\n" : c == '\\' ? "\\\\" : std::string(1, c);
    text += '\n';
  }
  return text;
}

Fields unpack_fields(std::string_view text) {
  Fields fields;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const std::size_t equals = std::min(line.find('='), line.size());
    std::string& value = fields[std::string(line.substr(0, equals))];
    for (std::size_t i = equals + 1; i < line.size(); ++i) {
      const bool escaped = line[i] == '\\' && i + 1 < line.size();
      if (escaped) ++i;
      value += escaped && line[i] == 'n' ? '\n' : line[i];
    }
  }
  return fields;
}

std::uint64_t fnv1a(std::span<const std::byte> bytes) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const std::byte byte : bytes) hash = (hash ^ std::to_integer<std::uint64_t>(byte)) * 0x100000001b3;
  return hash;
}

double signless(double value) noexcept { return std::isnan(value) ? std::abs(value) : value; }

std::string clock_text(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0 || seconds > 360000) return "?";
  const auto whole = static_cast<int>(std::lround(seconds));
  if (whole >= 3600) return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

std::string count_text(double count) {
  if (!(count >= 1000)) return fmt::format("{:.0f}", signless(count));
  return count < 1e6 ? fmt::format("{:.1f}k", count / 1e3) : fmt::format("{:.2f}M", count / 1e6);
}

std::string human_bytes(double bytes) {
  constexpr std::array kUnits = {"B", "KB", "MB", "GB", "TB"};
  std::size_t unit = 0;
  while (bytes >= 1000 && unit + 1 < kUnits.size()) {
    bytes /= 1000;
    ++unit;
  }
  return fmt::format("{:.{}f} {}", bytes, unit == 0 ? 0 : 1, kUnits[unit]);
}

}  // namespace ane::cli
