#pragma once

#include <cstdint>
#include <memory>

#include "ane/core/file.h"
#include "ane/text/tokenizer.h"

/// The readers of tokenizer files. Each throws FileError, which names the file and the entry.
namespace ane::text {

/// Those of today's models have up to 20 MB.
inline constexpr std::uint64_t kMostTokenizerBytes = std::uint64_t{128} << 20U;

[[nodiscard]] std::unique_ptr<Tokenizer> open_hugging_face(const RegularFile& file);
/// Special tokens: the beginning of a text, if the model defines it.
[[nodiscard]] std::unique_ptr<Tokenizer> open_sentence_piece(const RegularFile& file);
/// Special tokens: the beginning of a text.
[[nodiscard]] std::unique_ptr<Tokenizer> open_llama2c(const RegularFile& file);

}  // namespace ane::text
