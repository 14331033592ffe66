#include "record.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ane::data {
namespace {

using Json = nlohmann::json;

constexpr std::array<std::string_view, 3> kRoles = {"system", "user", "assistant"};

/// A string of the record that is read.
struct Field {
  std::string_view key;
  std::optional<std::string> value{};
  bool is_given = false;
};

struct MessageFields {
  Field role{"role"};
  Field content{"content"};
};

/// Takes what it needs from the events of the parser. Nothing else of the line is stored, so a line needs memory in
/// proportion to its strings, however deeply it is nested.
class RecordReader final : public nlohmann::json_sax<Json> {
 public:
  bool null() override { return value("null", nullptr); }
  bool boolean(bool /*value*/) override { return value("true or false", nullptr); }
  bool number_integer(number_integer_t /*value*/) override { return value("a number", nullptr); }
  bool number_unsigned(number_unsigned_t /*value*/) override { return value("a number", nullptr); }
  bool number_float(number_float_t /*value*/, const string_t& /*digits*/) override {
    return value("a number", nullptr);
  }
  bool string(string_t& found) override { return value("a string", &found); }
  bool binary(binary_t& /*value*/) override { return value("binary", nullptr); }

  bool start_object(std::size_t /*elements*/) override {
    if (depth_ == 0) return open();
    if (!accepts_structure("an object")) return false;
    if (in_messages_ && depth_ == kInMessages) messages.emplace_back();
    return open();
  }
  bool end_object() override {
    --depth_;
    return !in_messages_ || depth_ != kInMessages || check_message();
  }
  bool start_array(std::size_t /*elements*/) override {
    if (depth_ == 0) return refuse("it is not a JSON object");
    if (depth_ == kInRecord && key_ == kMessages) {
      in_messages_ = true;
      return open();
    }
    if (in_messages_ && depth_ == kInMessages) return refuse_message("is an array, but an object is needed");
    return accepts_structure("an array") && open();
  }
  bool end_array() override {
    --depth_;
    in_messages_ = in_messages_ && depth_ >= kInMessages;
    return true;
  }
  bool key(string_t& name) override {
    if (depth_ != kInRecord && !in_message()) return true;
    key_ = std::move(name);
    if (depth_ == kInRecord && key_ == kMessages && std::exchange(has_messages, true))
      return refuse(fmt::format("'{}' is given twice", key_));
    Field* const found = field();
    if (found == nullptr || !std::exchange(found->is_given, true)) return true;
    return refuse(fmt::format("'{}' is given twice", key_));
  }
  bool parse_error(std::size_t position, const std::string& /*token*/, const Json::exception& error) override {
    // "[json.exception...] parse error at line 1, column 5: WHAT"
    std::string_view what = error.what();
    const std::size_t colon = what.find(": ");
    if (colon != std::string_view::npos) what.remove_prefix(colon + 2);
    constexpr std::size_t kMostOfMessage = 160;  // it can quote the line
    return refuse(fmt::format("it is not valid JSON at byte {}: {}", position, what.substr(0, kMostOfMessage)));
  }

  Field text{"text"}, prompt{"prompt"}, completion{"completion"};
  std::vector<MessageFields> messages;
  bool has_messages = false;
  std::string fault;

 private:
  static constexpr std::string_view kMessages = "messages";
  static constexpr int kInRecord = 1;    // depth inside of the record's object
  static constexpr int kInMessages = 2;  // of the array
  static constexpr int kInMessage = 3;
  static constexpr int kDeepest = 100;

  bool refuse(std::string what) {
    fault = std::move(what);
    return false;
  }
  bool refuse_message(std::string_view what) { return refuse(fmt::format("message {} {}", messages.size() + 1, what)); }

  bool open() {
    if (++depth_ > kDeepest) return refuse(fmt::format("it is nested more than {} deep", kDeepest));
    return true;
  }

  [[nodiscard]] bool in_message() const noexcept { return in_messages_ && depth_ == kInMessage; }

  /// The string that the current key names; null if its value is not needed.
  [[nodiscard]] Field* field() {
    if (depth_ == kInRecord) {
      for (Field* each : {&text, &prompt, &completion})
        if (each->key == key_) return each;
    } else if (in_message()) {
      for (Field* each : {&messages.back().role, &messages.back().content})
        if (each->key == key_) return each;
    }
    return nullptr;
  }

  /// `string` is null for other kinds of values. A null is like a missing entry.
  bool value(std::string_view kind, std::string* string) {
    if (depth_ == 0) return refuse("it is not a JSON object");
    if (in_messages_ && depth_ == kInMessages)
      return refuse_message(fmt::format("is {}, but an object is needed", kind));
    const bool is_null = kind == "null";
    if (depth_ == kInRecord && key_ == kMessages) {
      has_messages = !is_null;
      return is_null || refuse(fmt::format("'{}' is {}, but an array is needed", kMessages, kind));
    }
    Field* const found = field();
    if (found == nullptr || is_null) return true;
    if (string == nullptr) return refuse(fmt::format("'{}' is {}, but a string is needed", key_, kind));
    found->value = std::move(*string);
    return true;
  }

  bool accepts_structure(std::string_view kind) {
    if (depth_ == kInRecord && key_ == kMessages)
      return refuse(fmt::format("'{}' is {}, but an array is needed", kMessages, kind));
    return field() == nullptr || refuse(fmt::format("'{}' is {}, but a string is needed", key_, kind));
  }

  bool check_message() {
    const auto& [role, content] = messages.back();
    const auto refuse_this = [&](std::string_view what) {
      return refuse(fmt::format("message {} {}", messages.size(), what));
    };
    if (!role.value) return refuse_this("has no 'role'");
    if (!content.value) return refuse_this("has no 'content'");
    if (std::ranges::count(kRoles, *role.value) > 0) return true;
    return refuse_this(fmt::format("has the role '{}', but the supported roles are system, user and assistant",
                                   role.value->substr(0, 40)));
  }

  int depth_ = 0;
  bool in_messages_ = false;
  std::string key_;
};

}  // namespace

Record parse_record(std::string_view line) {
  RecordReader reader;
  if (!Json::sax_parse(line, &reader)) throw RecordError(reader.fault);
  if (reader.prompt.value && reader.completion.value)
    return CompletionRecord{std::move(*reader.prompt.value), std::move(*reader.completion.value)};
  if (reader.has_messages) {
    if (reader.messages.empty()) throw RecordError("'messages' is empty");
    ChatRecord record;
    for (MessageFields& each : reader.messages)
      record.messages.push_back({std::move(*each.role.value), std::move(*each.content.value)});
    return record;
  }
  if (reader.text.value) return TextRecord{std::move(*reader.text.value)};
  if (reader.prompt.value) throw RecordError("it has a 'prompt', but no 'completion'");
  if (reader.completion.value) throw RecordError("it has a 'completion', but no 'prompt'");
  throw RecordError("it has none of 'text', 'prompt' with 'completion', and 'messages'");
}

}  // namespace ane::data
