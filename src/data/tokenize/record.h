#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "ane/core/error.h"

namespace ane::data {

/// {"text": ...}
struct TextRecord {
  std::string text;
};

/// {"prompt": ..., "completion": ...}
struct CompletionRecord {
  std::string prompt;
  std::string completion;
};

/// {"messages": [{"role": ..., "content": ...}, ...]}
struct ChatRecord {
  struct Message {
    std::string role;  ///< "system", "user" or "assistant"
    std::string content;
  };
  std::vector<Message> messages;  ///< at least one
};

using Record = std::variant<TextRecord, CompletionRecord, ChatRecord>;

/// A line is not a valid record. The message does not name the file.
class RecordError : public FileError {
 public:
  using FileError::FileError;
};

/// Reads a record from a line of JSON. Like mlx-lm, prefers a prompt with a completion to messages, and these to a
/// text. Other entries are ignored, whatever their size: they use no memory. Throws RecordError.
[[nodiscard]] Record parse_record(std::string_view line);

}  // namespace ane::data
