#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ane/text/chat.h"
#include "ane/text/stream_encoder.h"
#include "ane/text/tokenizer.h"

#include "record.h"

namespace ane::data {

/// Turns records into tokens:
///   text                    its tokens and the end token; nothing for an empty text
///   prompt and completion   a user's and an assistant's message if the tokenizer has a chat format; otherwise both
///                           texts, joined, and the end token
///   messages                the conversation in the tokenizer's chat format, whose messages have their own end tokens
class RecordEncoder {
 public:
  /// `tokenizer` must outlive the encoder. `mask_prompt`: only the last assistant message, or the completion, counts,
  /// including its end token.
  RecordEncoder(const text::Tokenizer& tokenizer, std::optional<text::TokenId> end_token, bool mask_prompt);

  /// Appends the tokens to `ids` and, with `mask_prompt`, whether each counts to `loss_mask`. Returns the number of
  /// bytes of text. Throws RecordError for messages without one of the assistant if the prompt is masked; UsageError if
  /// the settings do not fit the record: no end token, no chat format, or a text whose prompt is to be masked.
  std::size_t encode(const Record& record, std::vector<text::TokenId>& ids, std::vector<std::uint8_t>& loss_mask);

 private:
  /// The bytes of a text whose tokens contribute to the loss.
  struct LossRange {
    std::size_t begin, end;
  };
  std::size_t encode(const TextRecord& record);
  std::size_t encode(const CompletionRecord& record);
  std::size_t encode(const ChatRecord& record);
  std::size_t encode_chat(std::span<const text::Message> messages);
  void append(const std::string& text, const LossRange& range);
  void append_end(text::TokenId end);
  [[nodiscard]] text::TokenId end_token() const;

  const text::Tokenizer* tokenizer_;
  std::optional<text::TokenId> end_token_;
  std::optional<text::ChatFormat> chat_format_;
  bool mask_prompt_;
  text::StreamEncoder stream_;
  std::vector<text::TokenId>* ids_ = nullptr;  ///< that the current record is appended to
  std::vector<std::uint8_t>* loss_mask_ = nullptr;
};

}  // namespace ane::data
