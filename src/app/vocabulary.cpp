#include "ane/app/vocabulary.h"

#include <fmt/format.h>

#include "ane/core/error.h"
#include "ane/core/file.h"
#include "ane/text/end_tokens.h"

namespace ane::app {
namespace {

constexpr std::string_view kScratch = "ane-train-tokenizer";

/// The files are read by name, so they get their names back for a moment.
void unpack(const model::Companions& companions, const std::filesystem::path& directory) {
  for (const model::CompanionFile& companion : companions.files) {
    TemporaryFile file(directory / companion.name);
    model::copy(companion, file);
    file.commit();
  }
  if (!companions.config_json.empty())
    write_file_atomically(directory / model::kConfigFile, std::as_bytes(std::span(companions.config_json)));
}

}  // namespace

std::vector<text::TokenId> Vocabulary::encode(std::string_view text, text::SpecialTokens special) const {
  if (tokenizer_) return tokenizer_->encode(text, special);
  std::vector<text::TokenId> tokens;
  for (const char byte : text) tokens.push_back(static_cast<unsigned char>(byte));
  return tokens;
}

std::string Vocabulary::decode(std::span<const text::TokenId> tokens) const {
  if (tokenizer_) return tokenizer_->decode(tokens, text::SpecialTokens::omit);
  std::string bytes;
  for (const text::TokenId token : tokens)
    if (token < 256) bytes.push_back(static_cast<char>(token));
  return bytes;
}

std::optional<std::filesystem::path> find_model_tokenizer(const ModelSource& source, std::string_view advice) {
  const std::filesystem::path directory = source.file.parent_path();
  const std::optional<std::filesystem::path> found = text::find_tokenizer(directory);
  if (!found && source.is_hugging_face)
    throw UsageError(fmt::format("{} has no tokenizer ({} or {}); name one with --tokenizer, or {}", directory.string(),
                                 text::kHuggingFaceFile, text::kSentencePieceFile, advice));
  return found;
}

Vocabulary open_vocabulary(const std::string& tokenizer, const ModelSource& source) {
  if (!tokenizer.empty()) return Vocabulary(text::open_tokenizer(tokenizer));
  const auto found = find_model_tokenizer(source, "work with --prompt-tokens and --tokens");
  return found ? Vocabulary(text::open_tokenizer(*found)) : Vocabulary();
}

Language language_of(const cli::Settings& settings) {
  Language language;
  if (!settings.model.empty()) {
    const ModelSource source = open_model(settings.model);
    language.vocabulary = open_vocabulary(settings.tokenizer, source);
    language.end_tokens = text::end_tokens(source.file.parent_path(), language.vocabulary.tokenizer());
  } else if (!settings.tokenizer.empty()) {
    language.vocabulary = Vocabulary(text::open_tokenizer(settings.tokenizer));
  }
  return language;
}

Language language_of(const model::Companions& companions) {
  const ScratchDirectory directory(kScratch);
  unpack(companions, directory.path());
  Language language;
  if (const auto found = text::find_tokenizer(directory.path()))
    language.vocabulary = Vocabulary(text::open_tokenizer(*found));
  language.end_tokens = text::end_tokens(directory.path(), language.vocabulary.tokenizer());
  return language;
}

model::Companions with_end_token(model::Companions companions, text::TokenId end_token) {
  const ScratchDirectory directory(kScratch);
  unpack(companions, directory.path());
  if (text::end_tokens(directory.path(), nullptr).empty()) model::set_end_token(companions, end_token);
  return companions;
}

void check_prompt(std::span<const text::TokenId> prompt, const model::ModelConfig& config) {
  if (prompt.empty())
    throw UsageError("the prompt is empty, and the model has no token that begins a text; give it a text to continue");
  for (const text::TokenId token : prompt)
    if (token >= config.vocab)
      throw UsageError(
          fmt::format("the prompt contains token {}, but the vocabulary of the model has {}", token, config.vocab));
  if (prompt.size() > config.seq_len)
    throw UsageError(fmt::format("the prompt has {} tokens, but the context has {}; a larger --seq extends it",
                                 prompt.size(), config.seq_len));
}

}  // namespace ane::app
