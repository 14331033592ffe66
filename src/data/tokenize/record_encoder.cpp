#include "record_encoder.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <span>
#include <string_view>
#include <utility>
#include <variant>

namespace ane::data {
namespace {

using text::SpecialTokens;

constexpr std::string_view kAssistant = "assistant";

/// Number of leading tokens that `ids` has in common with those of `text` alone.
std::size_t common_tokens(const text::Tokenizer& tokenizer, std::span<const text::TokenId> ids, std::string_view text) {
  const std::vector<text::TokenId> alone = tokenizer.encode(text);
  const auto [end, ignored] = std::mismatch(ids.begin(), ids.end(), alone.begin(), alone.end());
  return static_cast<std::size_t>(end - ids.begin());
}

}  // namespace

RecordEncoder::RecordEncoder(const text::Tokenizer& tokenizer, std::optional<text::TokenId> end_token, bool mask_prompt)
    : tokenizer_(&tokenizer),
      end_token_(end_token),
      chat_format_(text::chat_format_of(tokenizer)),
      mask_prompt_(mask_prompt),
      stream_(tokenizer, SpecialTokens::omit) {}

std::size_t RecordEncoder::encode(const Record& record, std::vector<text::TokenId>& ids,
                                  std::vector<std::uint8_t>& loss_mask) {
  ids_ = &ids;
  loss_mask_ = &loss_mask;
  return std::visit([this](const auto& each) { return encode(each); }, record);
}

std::size_t RecordEncoder::encode(const TextRecord& record) {
  if (mask_prompt_)
    throw UsageError(
        "it is a text, which has no prompt that --mask-prompt could exclude; omit --mask-prompt, or give prompts with "
        "completions, or messages");
  if (record.text.empty()) return 0;
  const std::size_t before = ids_->size();
  stream_.append(record.text, *ids_);
  stream_.finish(*ids_);
  if (ids_->size() == before || ids_->back() != end_token()) append_end(end_token());
  return record.text.size();
}

std::size_t RecordEncoder::encode(const CompletionRecord& record) {
  if (chat_format_)
    return encode_chat(std::array{text::Message{"user", record.prompt}, text::Message{kAssistant, record.completion}});
  const std::string text = record.prompt + record.completion;
  append(text, {record.prompt.size(), text.size()});
  append_end(end_token());
  return text.size();
}

std::size_t RecordEncoder::encode(const ChatRecord& record) {
  if (!chat_format_)
    throw UsageError(
        "it has messages, but the tokenizer has the special tokens of neither ChatML nor Llama 3, which separate "
        "messages; use records with a text, or with a prompt and a completion");
  std::vector<text::Message> messages;
  for (const auto& [role, content] : record.messages) messages.push_back({role, content});
  return encode_chat(messages);
}

std::size_t RecordEncoder::encode_chat(std::span<const text::Message> messages) {
  const std::string text = text::chat_text(*chat_format_, messages);
  LossRange range{0, text.size()};
  if (mask_prompt_) {
    const auto last = std::find_if(messages.rbegin(), messages.rend(),
                                   [](const text::Message& message) { return message.role == kAssistant; });
    if (last == messages.rend())
      throw RecordError("it has no message of the assistant, so with --mask-prompt no token contributes to the loss");
    const auto before = static_cast<std::size_t>(std::distance(last, messages.rend())) - 1;
    range.begin = text::chat_text(*chat_format_, messages.first(before)).size() +
                  text::message_start(*chat_format_, kAssistant).size();
    range.end = text::chat_text(*chat_format_, messages.first(before + 1)).size();
  }
  append(text, range);
  return text.size();
}

// The beginning of a text has the same tokens alone as in the whole, except perhaps the last ones: a token that extends
// beyond it belongs to what follows.
void RecordEncoder::append(const std::string& text, const LossRange& range) {
  const std::size_t before = ids_->size();
  tokenizer_->encode(text, SpecialTokens::omit, *ids_);
  if (!mask_prompt_) return;
  const auto added = std::span(*ids_).subspan(before);
  const auto tokens_of = [&](std::size_t bytes) {
    return bytes == text.size() ? added.size()
                                : common_tokens(*tokenizer_, added, std::string_view(text).substr(0, bytes));
  };
  const std::size_t begin = tokens_of(range.begin);
  const std::size_t end = tokens_of(range.end);
  for (std::size_t i = 0; i < added.size(); ++i) loss_mask_->push_back(i >= begin && i < end ? 1 : 0);
}

void RecordEncoder::append_end(text::TokenId end) {
  ids_->push_back(end);
  if (mask_prompt_) loss_mask_->push_back(1);
}

text::TokenId RecordEncoder::end_token() const {
  if (end_token_) return *end_token_;
  throw UsageError(
      "a record ends with an end-of-text token, but neither the model nor the tokenizer defines one; set it with "
      "--end-token");
}

}  // namespace ane::data
