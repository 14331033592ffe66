#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "ane/core/checksum.h"
#include "ane/core/error.h"
#include "ane/core/json_fault.h"
#include "ane/core/memory_reserve.h"

#include "added_tokens.h"
#include "bpe.h"
#include "decoder.h"
#include "entry.h"
#include "formats.h"
#include "normalizer.h"
#include "pre_tokenizer.h"
#include "vocabulary.h"

namespace ane::text {
namespace {

constexpr TokenId kMostId = (TokenId{1} << 24U) - 1;

/// Parses JSON. Refuses deep nesting, which takes much more memory than its text.
Entry::Json parse_tokenizer_json(const std::string& text, const std::string& file) {
  constexpr int kDeepest = 64;
  ensure_memory_reserve();
  try {
    return Entry::Json::parse(text, [&](int depth, Entry::Json::parse_event_t, Entry::Json&) {
      if (depth > kDeepest) throw FileError(fmt::format("{}: its JSON is nested too deeply", file));
      return true;
    });
  } catch (const Entry::Json::exception& error) {
    throw FileError(fmt::format("{}: it is not valid JSON: {}", file, json_fault(error.what())));
  }
}

/// What a tokenizer.json describes.
struct Parts {
  Vocabulary vocabulary{0};
  std::unordered_set<TokenId> special;
  std::unique_ptr<AddedTokens> raw;         ///< looked for in the text as it is
  std::unique_ptr<AddedTokens> normalized;  ///< looked for in the normalized text
  std::vector<std::unique_ptr<const Normalizer>> normalizers;
  std::vector<std::unique_ptr<const PreTokenizer>> pre_tokenizers;
  std::unique_ptr<Bpe> bpe;
  Surroundings surroundings;
  std::optional<std::vector<std::unique_ptr<const Decoder>>> decoders;
};

void normalize(const std::vector<std::unique_ptr<const Normalizer>>& normalizers, std::string& text) {
  for (const auto& normalizer : normalizers) normalizer->apply(text);
}

Vocabulary read_vocabulary(const Entry& model, std::size_t added) {
  const Entry entry = model.at("vocab");
  if (!entry.json().is_object()) entry.refuse("is not an object");
  Vocabulary vocabulary(entry.json().size() + added);
  for (const auto& [name, id] : entry.json().items()) {
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() > kMostId)
      entry.refuse(fmt::format("the id of '{}' is not a whole number from 0 to {}", name, kMostId));
    const std::string& token = name;
    const auto number = id.get<TokenId>();
    entry.named([&] { vocabulary.add(token, number); });
  }
  if (vocabulary.count() == 0) entry.refuse("is empty");
  return vocabulary;
}

/// "LEFT RIGHT" or ["LEFT", "RIGHT"].
std::pair<std::string_view, std::string_view> read_pair(const Entry& merges, std::size_t index) {
  const Entry::Json& merge = merges.json()[index];
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string())
    return {merge[0].get_ref<const std::string&>(), merge[1].get_ref<const std::string&>()};
  if (merge.is_string()) {
    const std::string_view text = merge.get_ref<const std::string&>();
    const std::size_t space = text.find(' ');
    if (space != std::string_view::npos && text.find(' ', space + 1) == std::string_view::npos)
      return {text.substr(0, space), text.substr(space + 1)};
  }
  merges.refuse(fmt::format(R"(element {} is neither "LEFT RIGHT" nor ["LEFT", "RIGHT"])", index));
}

std::vector<Merge> read_merges(const Entry& model, const Vocabulary& vocabulary) {
  const Entry entry = model.at("merges");
  if (!entry.json().is_array()) entry.refuse("is not an array");
  std::vector<Merge> merges;
  merges.reserve(entry.json().size());
  const auto id_of = [&](std::string_view name) {
    const std::optional<TokenId> id = vocabulary.find(name);
    if (!id)
      entry.refuse(fmt::format("element {} needs the token '{}', which is not in the vocabulary", merges.size(), name));
    return *id;
  };
  for (std::size_t i = 0; i < entry.json().size(); ++i) {
    const auto [left, right] = read_pair(entry, i);
    merges.push_back({.left = id_of(left),
                      .right = id_of(right),
                      .result = id_of(std::string(left) + std::string(right)),
                      .rank = static_cast<std::uint32_t>(i)});
  }
  return merges;
}

void refuse_unless_empty(const Entry& model, const char* key) {
  if (const auto found = model.find(key); found && !found->string().empty()) found->refuse_value("\"\" and null");
}

BpeOptions read_options(const Entry& model, const Vocabulary& vocabulary, bool byte_level) {
  refuse_unless_empty(model, "continuing_subword_prefix");
  refuse_unless_empty(model, "end_of_word_suffix");
  if (const auto dropout = model.find("dropout"); dropout && dropout->json() != 0) dropout->refuse_value("0 and null");
  BpeOptions options{.byte_level = byte_level,
                     .ignore_merges = model.boolean("ignore_merges", false),
                     .fuse_unknown = model.boolean("fuse_unk", false)};
  if (const auto unknown = model.find("unk_token")) {
    options.unknown = vocabulary.find(unknown->string());
    if (!options.unknown) unknown->refuse(fmt::format("'{}' is not in the vocabulary", unknown->string()));
  }
  if (model.boolean("byte_fallback", false))
    for (std::size_t byte = 0; byte < options.byte_tokens.size(); ++byte)
      options.byte_tokens.at(byte) = vocabulary.find(fmt::format("<0x{:02X}>", byte));
  return options;
}

/// Hugging Face's library does not read the ids of added tokens: one that the model has keeps the model's id, the
/// others are numbered after the vocabulary. A file in which that gives other ids is refused, because it is unclear
/// which ones a model was trained with.
void check_id(const AddedToken& token, std::size_t model_count, TokenId& next, const Vocabulary& vocabulary,
              const Entry& entry) {
  if (vocabulary.find(token.content) == token.id) {
    if (token.id >= model_count) next = std::max(next, token.id + 1);
    return;
  }
  const std::optional<TokenId> known = vocabulary.find(token.content);
  const TokenId expected = known ? *known : next;
  if (token.id != expected)
    entry.refuse(fmt::format("the token '{}' has the id {}, but its place in the vocabulary gives it {}", token.content,
                             token.id, expected));
  next = token.id + 1;
}

std::vector<AddedToken> read_added_tokens(const Entry& root, Vocabulary& vocabulary) {
  std::vector<AddedToken> tokens;
  const auto list = root.find("added_tokens");
  if (!list) return tokens;
  const std::size_t model_count = vocabulary.count();
  auto next = static_cast<TokenId>(model_count);
  for (const Entry& entry : list->elements()) {
    AddedToken token{.content = entry.at("content").string(),
                     .id = static_cast<TokenId>(entry.at("id").number(kMostId)),
                     .single_word = entry.boolean("single_word", false),
                     .strip_left = entry.boolean("lstrip", false),
                     .strip_right = entry.boolean("rstrip", false),
                     .normalized = entry.boolean("normalized", true),
                     .special = entry.boolean("special", false)};
    if (token.content.empty()) continue;  // never found in a text
    check_id(token, model_count, next, vocabulary, entry);
    if (!vocabulary.find(token.content)) entry.named([&] { vocabulary.add(token.content, token.id); });
    tokens.push_back(std::move(token));
  }
  return tokens;
}

void add_template(const Entry& processor, const Vocabulary& vocabulary, Surroundings& surroundings) {
  Surroundings inner;
  bool text_seen = false;
  for (const Entry& piece : processor.at("single").elements()) {
    if (const auto sequence = piece.find("Sequence")) {
      if (sequence->at("id").string() != "A" || text_seen) sequence->refuse("is not the only sequence A");
      text_seen = true;
      continue;
    }
    const std::string name = piece.at("SpecialToken").at("id").string();
    for (const Entry& id : processor.at("special_tokens").at(name).at("ids").elements()) {
      const auto number = static_cast<TokenId>(id.number(kMostId));
      if (vocabulary.name(number) == nullptr) id.refuse("is not the id of a token");
      (text_seen ? inner.after : inner.before).push_back(number);
    }
  }
  if (!text_seen) processor.at("single").refuse("has no sequence A");
  surroundings.before.insert(surroundings.before.begin(), inner.before.begin(), inner.before.end());
  surroundings.after.insert(surroundings.after.end(), inner.after.begin(), inner.after.end());
}

Surroundings read_surroundings(const Entry& root, const Vocabulary& vocabulary) {
  Surroundings surroundings;
  const auto entry = root.find("post_processor");
  if (!entry) return surroundings;
  for (const Entry& processor : entry->flatten("processors")) {
    if (processor.type() == "TemplateProcessing") {
      add_template(processor, vocabulary, surroundings);
    } else if (processor.type() != "ByteLevel") {  // which only changes offsets
      processor.at("type").refuse_value("TemplateProcessing, ByteLevel and Sequence");
    }
  }
  return surroundings;
}

void add_added_tokens(std::vector<AddedToken> tokens, Parts& parts) {
  std::vector<AddedToken> raw;
  std::vector<AddedToken> normalized;
  for (AddedToken& token : tokens) {
    if (token.special) parts.special.insert(token.id);
    if (!token.normalized) {
      raw.push_back(std::move(token));
      continue;
    }
    normalize(parts.normalizers, token.content);
    if (!token.content.empty()) normalized.push_back(std::move(token));
  }
  parts.raw = std::make_unique<AddedTokens>(std::move(raw));
  parts.normalized = std::make_unique<AddedTokens>(std::move(normalized));
}

void read_parts(const Entry& root, Parts& parts) {
  const Entry model = root.at("model");
  if (const auto type = model.find("type"); type && type->string() != "BPE") type->refuse_value("BPE");
  const auto added = root.find("added_tokens");
  parts.vocabulary = read_vocabulary(model, added ? added->elements().size() : 0);
  const std::vector<Merge> merges = read_merges(model, parts.vocabulary);
  if (const auto entry = root.find("normalizer")) parts.normalizers = read_normalizers(*entry);
  PreTokenizers pre_tokenizers;
  if (const auto entry = root.find("pre_tokenizer")) pre_tokenizers = read_pre_tokenizers(*entry);
  parts.pre_tokenizers = std::move(pre_tokenizers.steps);
  parts.bpe =
      std::make_unique<Bpe>(parts.vocabulary, merges, read_options(model, parts.vocabulary, pre_tokenizers.byte_level));
  std::vector<AddedToken> tokens = read_added_tokens(root, parts.vocabulary);
  if (added) {
    added->named([&] { add_added_tokens(std::move(tokens), parts); });
  } else {
    add_added_tokens({}, parts);
  }
  parts.surroundings = read_surroundings(root, parts.vocabulary);
  if (const auto entry = root.find("decoder")) parts.decoders = read_decoders(*entry);
}

/// Encodes the pieces that it takes.
class EncodingSink final : public PieceSink {
 public:
  EncodingSink(const Bpe& bpe, std::vector<TokenId>& ids) : encoder_(bpe), ids_(&ids) {}
  void take(Piece piece) override { encoder_.append_ids(piece.text, *ids_); }

 private:
  Bpe::Encoder encoder_;
  std::vector<TokenId>* ids_;
};

/// Splits the pieces that it takes and passes them on.
class SplittingSink final : public PieceSink {
 public:
  SplittingSink(const PreTokenizer& step, PieceSink& next) : step_(&step), next_(&next) {}
  void take(Piece piece) override { step_->split(piece, *next_); }

 private:
  const PreTokenizer* step_;
  PieceSink* next_;
};

class HuggingFaceTokenizer final : public Tokenizer {
 public:
  HuggingFaceTokenizer(std::uint64_t digest, const Entry& root) : Tokenizer(digest) { read_parts(root, parts_); }

  std::string decode(std::span<const TokenId> ids, SpecialTokens special) const override {
    std::vector<std::string> tokens;
    for (const TokenId id : ids) {
      const std::string* const name = parts_.vocabulary.name(id);
      if (name != nullptr && (special == SpecialTokens::include || !is_special(id))) tokens.push_back(*name);
    }
    if (!parts_.decoders) return fmt::format("{}", fmt::join(tokens, " "));
    for (const auto& decoder : *parts_.decoders) decoder->apply(tokens);
    return fmt::format("{}", fmt::join(tokens, ""));
  }

  const Surroundings& surroundings() const noexcept override { return parts_.surroundings; }
  std::size_t vocab_size() const noexcept override { return parts_.vocabulary.end(); }
  std::optional<TokenId> find(std::string_view name) const override { return parts_.vocabulary.find(name); }
  std::optional<std::string> name(TokenId id) const override {
    const std::string* const found = parts_.vocabulary.name(id);
    return found == nullptr ? std::nullopt : std::optional(*found);
  }
  bool is_special(TokenId id) const override { return parts_.special.contains(id); }

 private:
  void append_ids(std::string_view text, std::vector<TokenId>& ids) const override {
    EncodingSink last(*parts_.bpe, ids);
    std::vector<std::unique_ptr<PieceSink>> sinks;
    PieceSink* first = &last;
    for (std::size_t i = parts_.pre_tokenizers.size(); i-- > 0;)
      first = sinks.emplace_back(std::make_unique<SplittingSink>(*parts_.pre_tokenizers[i], *first)).get();

    const auto add = [&](TokenId id) { ids.push_back(id); };
    std::string normal;
    parts_.raw->split(
        text,
        [&](std::string_view part, std::size_t offset) {
          if (!parts_.normalizers.empty()) {
            normal = part;
            normalize(parts_.normalizers, normal);
            part = normal;
          }
          parts_.normalized->split(
              part,
              [&](std::string_view piece, std::size_t inner) {
                first->take({piece, offset == 0 && inner == 0});
              },
              add);
        },
        add);
  }

  Parts parts_;
};

}  // namespace

std::unique_ptr<Tokenizer> open_hugging_face(const RegularFile& file) {
  const std::string text = whole_text(file, kMostTokenizerBytes);
  const std::string path = file.path().string();
  const Entry::Json json = parse_tokenizer_json(text, path);
  return std::make_unique<HuggingFaceTokenizer>(checksum_of(std::as_bytes(std::span(text))), Entry(json, path));
}

}  // namespace ane::text
