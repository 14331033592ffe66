#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "ane/text/tokenizer.h"

namespace ane::text {

/// How the messages of a conversation are written as one text.
///   chatml  <|im_start|>ROLE\nCONTENT<|im_end|>\n
///   llama3  <|begin_of_text|> once, then <|start_header_id|>ROLE<|end_header_id|>\n\nCONTENT<|eot_id|>, with CONTENT
///           trimmed
/// No system prompt, date or thinking block is added, which the own templates of some models do.
enum class ChatFormat { chatml, llama3 };

struct Message {
  std::string_view role;  ///< "user", "assistant", "system"
  std::string_view content;
};

/// The format that the special tokens of a tokenizer show.
[[nodiscard]] std::optional<ChatFormat> chat_format_of(const Tokenizer& tokenizer);

/// The conversation as text, to be encoded with SpecialTokens::omit.
[[nodiscard]] std::string chat_text(ChatFormat format, std::span<const Message> messages);
/// The text that begins a message.
[[nodiscard]] std::string message_start(ChatFormat format, std::string_view role);
/// The special token that ends a message.
[[nodiscard]] std::string_view message_end(ChatFormat format) noexcept;

}  // namespace ane::text
