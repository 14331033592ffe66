#include "ane/app/vocabulary.h"

#include <fmt/format.h>

#include "ane/core/error.h"

namespace ane::app {

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

Vocabulary open_vocabulary(const std::string& tokenizer, const ModelSource& source) {
  if (!tokenizer.empty()) return Vocabulary(text::open_tokenizer(tokenizer));
  const std::filesystem::path directory = source.file.parent_path();
  if (const auto found = text::find_tokenizer(directory)) return Vocabulary(text::open_tokenizer(*found));
  if (source.is_hugging_face)
    throw UsageError(
        fmt::format("{} has no tokenizer ({} or {}); name one with --tokenizer, or work with "
                    "--prompt-tokens and --tokens",
                    directory.string(), text::kHuggingFaceFile, text::kSentencePieceFile));
  return {};
}

}  // namespace ane::app
