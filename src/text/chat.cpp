#include "ane/text/chat.h"

#include <fmt/format.h>

namespace ane::text {

namespace {

constexpr std::string_view kChatmlStart = "<|im_start|>";
constexpr std::string_view kChatmlEnd = "<|im_end|>";
constexpr std::string_view kLlama3Begin = "<|begin_of_text|>";
constexpr std::string_view kLlama3Header = "<|start_header_id|>";
constexpr std::string_view kLlama3HeaderEnd = "<|end_header_id|>";
constexpr std::string_view kLlama3End = "<|eot_id|>";

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\n\r\v\f";
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

}  // namespace

std::optional<ChatFormat> chat_format_of(const Tokenizer& tokenizer) {
  const auto has = [&](std::string_view name) { return tokenizer.find(name).has_value(); };
  if (has(kChatmlStart) && has(kChatmlEnd)) return ChatFormat::chatml;
  if (has(kLlama3Begin) && has(kLlama3Header) && has(kLlama3HeaderEnd) && has(kLlama3End)) return ChatFormat::llama3;
  return std::nullopt;
}

std::string message_start(ChatFormat format, std::string_view role) {
  if (format == ChatFormat::chatml) return fmt::format("{}{}\n", kChatmlStart, role);
  return fmt::format("{}{}{}\n\n", kLlama3Header, role, kLlama3HeaderEnd);
}

std::string_view message_end(ChatFormat format) noexcept {
  return format == ChatFormat::chatml ? kChatmlEnd : kLlama3End;
}

std::string chat_text(ChatFormat format, std::span<const Message> messages) {
  const bool is_chatml = format == ChatFormat::chatml;
  std::string text(is_chatml ? std::string_view() : kLlama3Begin);
  for (const auto& [role, content] : messages) {
    text += message_start(format, role);
    text += is_chatml ? content : trimmed(content);
    text += message_end(format);
    if (is_chatml) text += '\n';
  }
  return text;
}

}  // namespace ane::text
