#include "decoder.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "byte_alphabet.h"
#include "json_pattern.h"
#include "utf8.h"

namespace ane::text {
namespace {

class ByteLevelDecoder final : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    std::string bytes;
    for (const std::string& token : tokens) {
      const std::optional<std::string> found = from_letters(token);
      bytes += found ? *found : token;
    }
    tokens.assign(1, to_utf8(bytes));
  }
};

class ReplaceDecoder final : public Decoder {
 public:
  ReplaceDecoder(Pattern pattern, std::string content) : pattern_(std::move(pattern)), content_(std::move(content)) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (std::string& token : tokens) {
      std::string result;
      pattern_.for_each_part(token, [&](const Part& part) {
        result += part.matched ? content_ : token.substr(part.begin, part.end - part.begin);
      });
      token = std::move(result);
    }
  }

 private:
  Pattern pattern_;
  std::string content_;
};

/// Joins consecutive bytes to characters. If they are not valid UTF-8, each of them becomes U+FFFD.
class ByteFallbackDecoder final : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    std::vector<std::string> result;
    std::string bytes;
    const auto finish_bytes = [&] {
      if (is_utf8(bytes)) {
        if (!bytes.empty()) result.push_back(bytes);
      } else {
        result.insert(result.end(), bytes.size(), std::string(kReplacement));
      }
      bytes.clear();
    };
    for (std::string& token : tokens) {
      if (const std::optional<unsigned char> byte = byte_of_token(token)) {
        bytes += static_cast<char>(*byte);
        continue;
      }
      finish_bytes();
      result.push_back(std::move(token));
    }
    finish_bytes();
    tokens = std::move(result);
  }
};

class FuseDecoder final : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    std::string joined;
    for (const std::string& token : tokens) joined += token;
    tokens.assign(1, std::move(joined));
  }
};

/// Removes up to `start` characters `content` from the beginning of each token and up to `stop` from its end.
class StripDecoder final : public Decoder {
 public:
  StripDecoder(std::string content, std::size_t start, std::size_t stop)
      : content_(std::move(content)), start_(start), stop_(stop) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (std::string& token : tokens) {
      std::string_view rest = token;
      for (std::size_t i = 0; i < start_ && rest.starts_with(content_); ++i) rest.remove_prefix(content_.size());
      for (std::size_t i = 0; i < stop_ && rest.ends_with(content_); ++i) rest.remove_suffix(content_.size());
      token = std::string(rest);
    }
  }

 private:
  std::string content_;
  std::size_t start_;
  std::size_t stop_;
};

/// Turns `replacement` into spaces; removes it from the first token if the encoder may have added it.
class MetaspaceDecoder final : public Decoder {
 public:
  MetaspaceDecoder(std::string replacement, bool prepended)
      : replacement_(replacement), pattern_(std::move(replacement)), prepended_(prepended) {}
  void apply(std::vector<std::string>& tokens) const override {
    bool first = true;
    for (std::string& token : tokens) {
      std::string result;
      pattern_.for_each_part(token, [&](const Part& part) {
        if (!part.matched) result.append(token, part.begin, part.end - part.begin);
        if (part.matched && !(first && prepended_)) result += ' ';
      });
      token = std::move(result);
      first = false;
    }
  }

 private:
  std::string replacement_;
  Pattern pattern_;
  bool prepended_;
};

std::unique_ptr<const Decoder> read_metaspace_decoder(const Entry& entry) {
  const auto scheme = entry.find("prepend_scheme");
  const bool never = (scheme && scheme->string() == "never") || !entry.boolean("add_prefix_space", true);
  return std::make_unique<MetaspaceDecoder>(entry.at("replacement").character(), !never);
}

std::unique_ptr<const Decoder> read_decoder(const Entry& entry) {
  constexpr std::uint64_t kMostStripped = 1U << 20U;
  const std::string& type = entry.type();
  if (type == "ByteLevel") return std::make_unique<ByteLevelDecoder>();
  if (type == "Replace")
    return std::make_unique<ReplaceDecoder>(read_pattern(entry.at("pattern")), entry.at("content").string());
  if (type == "ByteFallback") return std::make_unique<ByteFallbackDecoder>();
  if (type == "Fuse") return std::make_unique<FuseDecoder>();
  if (type == "Strip")
    return std::make_unique<StripDecoder>(entry.at("content").character(), entry.at("start").number(kMostStripped),
                                          entry.at("stop").number(kMostStripped));
  if (type == "Metaspace") return read_metaspace_decoder(entry);
  entry.at("type").refuse_value("ByteLevel, Replace, ByteFallback, Fuse, Strip, Metaspace and Sequence");
}

}  // namespace

std::optional<unsigned char> byte_of_token(std::string_view token) {
  constexpr std::size_t kLength = 6;
  if (token.size() != kLength || !token.starts_with("<0x") || !token.ends_with('>')) return std::nullopt;
  unsigned char byte = 0;
  const char* const end = token.data() + 5;
  const auto [read, error] = std::from_chars(token.data() + 3, end, byte, 16);
  if (error != std::errc() || read != end) return std::nullopt;
  return byte;
}

std::vector<std::unique_ptr<const Decoder>> read_decoders(const Entry& entry) {
  std::vector<std::unique_ptr<const Decoder>> decoders;
  for (const Entry& step : entry.flatten("decoders")) decoders.push_back(read_decoder(step));
  return decoders;
}

}  // namespace ane::text
