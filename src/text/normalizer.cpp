#include "normalizer.h"

#include <cstdlib>
#include <new>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <utf8proc.h>

#include "json_pattern.h"
#include "utf8.h"

namespace ane::text {
namespace {

bool is_ascii(char c) { return static_cast<unsigned char>(c) < 0x80; }

void append_normalized(std::string_view text, utf8proc_option_t options, std::string& result) {
  struct Free {
    void operator()(utf8proc_uint8_t* bytes) const noexcept { std::free(bytes); }  // NOLINT: utf8proc used malloc
  };
  utf8proc_uint8_t* mapped = nullptr;
  const utf8proc_ssize_t size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                             static_cast<utf8proc_ssize_t>(text.size()), &mapped, options);
  const std::unique_ptr<utf8proc_uint8_t, Free> owned(mapped);
  if (size == UTF8PROC_ERROR_NOMEM) throw std::bad_alloc();
  if (size < 0) throw FileError(fmt::format("a text cannot be normalized: {}", utf8proc_errmsg(size)));
  result.append(reinterpret_cast<const char*>(mapped), static_cast<std::size_t>(size));
}

/// NFC or NFKC.
class Composition final : public Normalizer {
 public:
  explicit Composition(bool compatible)
      : options_(
            static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE | (compatible ? UTF8PROC_COMPAT : 0))) {}

  /// An ASCII character never changes and never joins the characters before it, so only the other ones are normalized,
  /// each run with the ASCII character before it, which a combining mark may join.
  void apply(std::string& text) const override {
    const auto other = [&](std::size_t from) {
      while (from < text.size() && is_ascii(text[from])) ++from;
      return from;
    };
    std::size_t at = other(0);
    if (at == text.size()) return;
    std::string result;
    result.reserve(text.size());
    std::size_t done = 0;
    while (at < text.size()) {
      const std::size_t begin = at > done ? at - 1 : at;
      std::size_t end = at;
      while (end < text.size() && !is_ascii(text[end])) ++end;
      result.append(text, done, begin - done);
      append_normalized(std::string_view(text).substr(begin, end - begin), options_, result);
      done = end;
      at = other(end);
    }
    result.append(text, done);
    text = std::move(result);
  }

 private:
  utf8proc_option_t options_;
};

class Lowercase final : public Normalizer {
 public:
  void apply(std::string& text) const override {
    constexpr std::uint32_t kCapitalIWithDot = 0x130;  // the only one whose lower case has two characters
    std::string result;
    result.reserve(text.size());
    for (std::string_view rest = text; !rest.empty();) {
      const std::string_view character = first_char(rest);
      const std::uint32_t point = code_point(character);
      append_char(static_cast<std::uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(point))), result);
      if (point == kCapitalIWithDot) result += "\xCC\x87";
      rest.remove_prefix(character.size());
    }
    text = std::move(result);
  }
};

class Prepend final : public Normalizer {
 public:
  explicit Prepend(std::string prefix) : prefix_(std::move(prefix)) {}
  void apply(std::string& text) const override {
    if (!text.empty()) text.insert(0, prefix_);
  }

 private:
  std::string prefix_;
};

class Replace final : public Normalizer {
 public:
  Replace(Pattern pattern, std::string content) : pattern_(std::move(pattern)), content_(std::move(content)) {}
  void apply(std::string& text) const override {
    std::string result;
    result.reserve(text.size());
    pattern_.for_each_part(text, [&](const Part& part) {
      if (part.matched) {
        result += content_;
      } else {
        result.append(text, part.begin, part.end - part.begin);
      }
    });
    text = std::move(result);
  }

 private:
  Pattern pattern_;
  std::string content_;
};

std::unique_ptr<const Normalizer> read_normalizer(const Entry& entry) {
  const std::string& type = entry.type();
  if (type == "NFC" || type == "NFKC") return std::make_unique<Composition>(type == "NFKC");
  if (type == "Lowercase") return std::make_unique<Lowercase>();
  if (type == "Prepend") return std::make_unique<Prepend>(entry.at("prepend").string());
  if (type == "Replace")
    return std::make_unique<Replace>(read_pattern(entry.at("pattern")), entry.at("content").string());
  entry.at("type").refuse_value("NFC, NFKC, Lowercase, Prepend, Replace and Sequence");
}

}  // namespace

std::vector<std::unique_ptr<const Normalizer>> read_normalizers(const Entry& entry) {
  std::vector<std::unique_ptr<const Normalizer>> normalizers;
  for (const Entry& step : entry.flatten("normalizers")) normalizers.push_back(read_normalizer(step));
  return normalizers;
}

}  // namespace ane::text
