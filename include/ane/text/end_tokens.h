#pragma once

#include <filesystem>
#include <vector>

#include "ane/text/tokenizer.h"

namespace ane::text {

/// The tokens that end a text, as the files of a Hugging Face model directory name them: `eos_token_id`, a number or a
/// list, in generation_config.json or config.json, else `eos_token` in tokenizer_config.json, whose number `tokenizer`
/// (which may be null) knows. Empty if no file names one. Throws FileError for a file that is not valid.
[[nodiscard]] std::vector<TokenId> end_tokens(const std::filesystem::path& directory, const Tokenizer* tokenizer);

}  // namespace ane::text
