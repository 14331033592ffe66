#include "pre_tokenizer.h"

#include <array>
#include <optional>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "byte_alphabet.h"
#include "json_pattern.h"

namespace ane::text {
namespace {

/// Splits by a pattern: Split, Digits, Whitespace.
class Split final : public PreTokenizer {
 public:
  Split(Pattern pattern, SplitBehavior behavior, bool inverted)
      : pattern_(std::move(pattern)), behavior_(behavior), inverted_(inverted) {}

  void split(Piece piece, PieceSink& sink) const override {
    split_text(piece.text, pattern_, behavior_, inverted_, [&](std::string_view part, bool first) {
      sink.take({part, piece.at_start && first});
    });
  }

 private:
  Pattern pattern_;
  SplitBehavior behavior_;
  bool inverted_;
};

class ByteLevel final : public PreTokenizer {
 public:
  /// `in_letters`: the pieces are passed on in letters of the byte alphabet, for the steps that follow.
  ByteLevel(bool prefix_space, bool split_words, bool in_letters)
      : prefix_space_(prefix_space), in_letters_(in_letters) {
    constexpr const char* kWords = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
    if (split_words) words_.emplace(Regex(from_oniguruma(kWords)));
  }

  void split(Piece piece, PieceSink& sink) const override {
    if (!prefix_space_ || piece.text.starts_with(' ')) return split_words(piece, sink);
    const std::string longer = ' ' + std::string(piece.text);
    split_words({longer, piece.at_start}, sink);
  }

 private:
  void split_words(Piece piece, PieceSink& sink) const {
    if (!words_) return pass(piece, sink);
    split_text(piece.text, *words_, SplitBehavior::isolated, false, [&](std::string_view part, bool first) {
      pass({part, piece.at_start && first}, sink);
    });
  }
  void pass(Piece piece, PieceSink& sink) const {
    if (in_letters_) {
      sink.take({to_letters(piece.text), piece.at_start});
    } else {
      sink.take(piece);
    }
  }

  bool prefix_space_;
  bool in_letters_;
  std::optional<Pattern> words_;
};

class Metaspace final : public PreTokenizer {
 public:
  enum class Prepend { always, first, never };

  Metaspace(std::string replacement, Prepend prepend, bool split)
      : replacement_(std::move(replacement)), pattern_(replacement_), prepend_(prepend), split_(split) {}

  void split(Piece piece, PieceSink& sink) const override {
    std::string text;
    text.reserve(piece.text.size() + replacement_.size());
    for (const char c : piece.text) {
      if (c == ' ') {
        text += replacement_;
      } else {
        text += c;
      }
    }
    const bool wanted = prepend_ == Prepend::always || (prepend_ == Prepend::first && piece.at_start);
    if (wanted && !text.starts_with(replacement_)) text.insert(0, replacement_);
    if (!split_) return sink.take({text, piece.at_start});
    split_text(text, pattern_, SplitBehavior::merged_with_next, false, [&](std::string_view part, bool first) {
      sink.take({part, piece.at_start && first});
    });
  }

 private:
  std::string replacement_;
  Pattern pattern_;
  Prepend prepend_;
  bool split_;
};

/// The row of `rows` that `entry` names.
template <class Value, std::size_t kCount>
Value choose_named(const Entry& entry, const std::array<std::pair<std::string_view, Value>, kCount>& rows) {
  std::string names;
  for (const auto& [name, value] : rows) {
    if (entry.string() == name) return value;
    names += (names.empty() ? "" : ", ") + std::string(name);
  }
  entry.refuse_value(names);
}

std::unique_ptr<const PreTokenizer> read_split(const Entry& entry) {
  constexpr std::array<std::pair<std::string_view, SplitBehavior>, 5> kBehaviors = {
      {{"Removed", SplitBehavior::removed},
       {"Isolated", SplitBehavior::isolated},
       {"MergedWithPrevious", SplitBehavior::merged_with_previous},
       {"MergedWithNext", SplitBehavior::merged_with_next},
       {"Contiguous", SplitBehavior::contiguous}}};
  return std::make_unique<Split>(read_pattern(entry.at("pattern")), choose_named(entry.at("behavior"), kBehaviors),
                                 entry.boolean("invert", false));
}

std::unique_ptr<const PreTokenizer> read_metaspace(const Entry& entry) {
  constexpr std::array<std::pair<std::string_view, Metaspace::Prepend>, 3> kSchemes = {
      {{"always", Metaspace::Prepend::always},
       {"first", Metaspace::Prepend::first},
       {"never", Metaspace::Prepend::never}}};
  const auto scheme = entry.find("prepend_scheme");
  Metaspace::Prepend prepend = scheme ? choose_named(*scheme, kSchemes) : Metaspace::Prepend::always;
  if (!entry.boolean("add_prefix_space", true)) {
    if (scheme && prepend != Metaspace::Prepend::never)
      entry.at("add_prefix_space").refuse("is false, but 'prepend_scheme' is not \"never\"");
    prepend = Metaspace::Prepend::never;
  }
  return std::make_unique<Metaspace>(entry.at("replacement").character(), prepend, entry.boolean("split", true));
}

std::unique_ptr<const PreTokenizer> read_pre_tokenizer(const Entry& entry, bool last) {
  const std::string& type = entry.type();
  if (type == "Split") return read_split(entry);
  if (type == "ByteLevel")
    return std::make_unique<ByteLevel>(entry.at("add_prefix_space").boolean(), entry.boolean("use_regex", true), !last);
  if (type == "Metaspace") return read_metaspace(entry);
  if (type == "Digits")
    return std::make_unique<Split>(
        Pattern(Regex(R"(\p{N})")),
        entry.boolean("individual_digits", false) ? SplitBehavior::isolated : SplitBehavior::contiguous, false);
  if (type == "Whitespace")
    return std::make_unique<Split>(Pattern(Regex(fmt::format(R"([{0}]+|[^\p{{White_Space}}{0}]+)", kWordCharacters))),
                                   SplitBehavior::removed, true);
  entry.at("type").refuse_value("Split, ByteLevel, Digits, Metaspace, Whitespace and Sequence");
}

}  // namespace

PreTokenizers read_pre_tokenizers(const Entry& entry) {
  PreTokenizers read;
  const std::vector<Entry> steps = entry.flatten("pretokenizers");
  for (std::size_t i = 0; i < steps.size(); ++i)
    read.steps.push_back(read_pre_tokenizer(steps[i], i + 1 == steps.size()));
  read.byte_level = !steps.empty() && steps.back().type() == "ByteLevel";
  return read;
}

}  // namespace ane::text
