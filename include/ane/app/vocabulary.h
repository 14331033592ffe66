#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ane/app/model_source.h"
#include "ane/cli/settings.h"
#include "ane/model/companions.h"
#include "ane/model/config.h"
#include "ane/text/tokenizer.h"

namespace ane::app {

/// Turns text into the tokens of a model and back: with its tokenizer, or as bytes for a model that was trained on
/// them.
class Vocabulary {
 public:
  /// Of a model that reads bytes.
  Vocabulary() = default;
  explicit Vocabulary(std::unique_ptr<text::Tokenizer> tokenizer) : tokenizer_(std::move(tokenizer)) {}

  /// Null if tokens are bytes.
  [[nodiscard]] const text::Tokenizer* tokenizer() const noexcept { return tokenizer_.get(); }
  [[nodiscard]] std::vector<text::TokenId> encode(std::string_view text, text::SpecialTokens special) const;
  [[nodiscard]] std::string decode(std::span<const text::TokenId> tokens) const;

 private:
  std::unique_ptr<text::Tokenizer> tokenizer_;
};

/// The tokenizer beside a model; nullopt if it has none because it works with bytes. Throws UsageError, which ends with
/// `advice`, if a Hugging Face model has none.
[[nodiscard]] std::optional<std::filesystem::path> find_model_tokenizer(const ModelSource& source,
                                                                        std::string_view advice);

/// Opens `tokenizer`, a file or directory, or if it is empty the tokenizer beside the model. Throws FileError if it is
/// not valid, and UsageError if a Hugging Face model has none.
[[nodiscard]] Vocabulary open_vocabulary(const std::string& tokenizer, const ModelSource& source);

/// How a model's text is read and written, and where it ends.
struct Language {
  Vocabulary vocabulary;
  std::vector<text::TokenId> end_tokens;
};
/// Of the model that a run begins with; of a new model, bytes unless it has a tokenizer. Throws like open_vocabulary().
[[nodiscard]] Language language_of(const cli::Settings& settings);
/// Of the model that these companions belong to; bytes if they contain no tokenizer. Throws FileError.
[[nodiscard]] Language language_of(const model::Companions& companions);

/// These companions, with `end_token` in config.json unless they name the tokens that end a text. Throws FileError.
[[nodiscard]] model::Companions with_end_token(model::Companions companions, text::TokenId end_token);

/// Throws UsageError unless a model with this config can continue `prompt`.
void check_prompt(std::span<const text::TokenId> prompt, const model::ModelConfig& config);

}  // namespace ane::app
