#include "tokenize/record_encoder.h"

#include <string>
#include <utility>
#include <vector>

#include "ane/core/error.h"

#include "small_tokenizer.h"
#include "support/catch.h"

using namespace ane;
using namespace ane::data;
using namespace ane::test;
using text::TokenId;

namespace {

using Ids = std::vector<TokenId>;

/// The tokens of a text without "ab", in which the special token number i is written as the digit i.
Ids ids(const std::string& text) {
  Ids result;
  for (const char c : text)
    result.push_back(c >= '0' && c <= '9' ? kFirstOfChat + static_cast<TokenId>(c - '0') : static_cast<TokenId>(c));
  return result;
}

Ids operator+(Ids a, const Ids& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

struct Encoded {
  Ids ids;
  std::string counted;  ///< a digit for each token
  std::size_t bytes = 0;
};

Encoded encode(const Record& record, const std::vector<std::string>& special = {}, bool mask_prompt = false,
               std::optional<TokenId> end = kEnd) {
  const auto tokenizer = small_tokenizer(special);
  RecordEncoder encoder(*tokenizer, end, mask_prompt);
  Encoded encoded;
  std::vector<std::uint8_t> counted;
  encoded.bytes = encoder.encode(record, encoded.ids, counted);
  for (const std::uint8_t each : counted) encoded.counted += each != 0 ? '1' : '0';
  return encoded;
}

const Ids kEndIds = {kEnd};

ChatRecord conversation() {
  return {{{"system", "be"}, {"user", "hi"}, {"assistant", " yo "}, {"user", "x"}, {"assistant", "no"}}};
}

}  // namespace

TEST_CASE("a text is followed by the end token, unless it ends with it", "[data][records]") {
  CHECK(encode(TextRecord{"cab!"}).ids == Ids{'c', kAb, '!', kEnd});
  CHECK(encode(TextRecord{"cab!"}).bytes == 4);
  CHECK(encode(TextRecord{"x<end>"}).ids == Ids{'x', kEnd});
  CHECK(encode(TextRecord{""}).ids.empty());
  CHECK(encode(TextRecord{"x"}).counted.empty());
  CHECK_THROWS_AS(encode(TextRecord{"x"}, {}, false, std::nullopt), UsageError);
  CHECK_THROWS_WITH(encode(TextRecord{"x"}, {}, false, std::nullopt), ANE_CONTAINS("--end-token"));
  CHECK_THROWS_AS(encode(TextRecord{"x"}, {}, true), UsageError);
}

TEST_CASE("without a chat format, prompt and completion are one text", "[data][records]") {
  CHECK(encode(CompletionRecord{"x", "yz"}).ids == ids("xyz") + kEndIds);
  CHECK(encode(CompletionRecord{"x", "yz"}).bytes == 3);
  const Encoded masked = encode(CompletionRecord{"xy", "z"}, {}, true);
  CHECK(masked.ids == ids("xyz") + kEndIds);
  CHECK(masked.counted == "0011");
  CHECK(encode(CompletionRecord{"xy", ""}, {}, true).counted == "001");
  CHECK(encode(CompletionRecord{"", "xy"}, {}, true).counted == "111");
  // A token of both belongs to the completion.
  const Encoded merged = encode(CompletionRecord{"xa", "bz"}, {}, true);
  CHECK(merged.ids == Ids{'x', kAb, 'z', kEnd});
  CHECK(merged.counted == "0111");
}

TEST_CASE("with ChatML, prompt and completion are messages", "[data][records]") {
  const Ids expected = ids("0user\nxy1\n0assistant\nz1\n");
  CHECK(encode(CompletionRecord{"xy", "z"}, kChatml).ids == expected);
  CHECK(encode(CompletionRecord{"xy", "z"}, kChatml, false, std::nullopt).ids == expected);
  const Encoded masked = encode(CompletionRecord{"xy", "z"}, kChatml, true);
  CHECK(masked.ids == expected);
  CHECK(masked.counted ==
        std::string(expected.size() - 3, '0') + "111");  // z, the end of the message, and its line break
}

TEST_CASE("messages have the form of ChatML or of Llama 3", "[data][records]") {
  CHECK(encode(conversation(), kChatml).ids ==
        ids("0system\nbe1\n0user\nhi1\n0assistant\n yo 1\n0user\nx1\n0assistant\nno1\n"));
  CHECK(encode(conversation(), kLlama3).ids == ids("01system2\n\nbe31user2\n\nhi31assistant2\n\nyo31user2\n\nx3"
                                                   "1assistant2\n\nno3"));
  CHECK_THROWS_AS(encode(conversation()), UsageError);
  CHECK_THROWS_WITH(encode(conversation()), ANE_CONTAINS("neither ChatML nor Llama 3"));
}

TEST_CASE("with --mask-prompt only the last message of the assistant counts", "[data][records]") {
  for (const auto& [special, end] :
       {std::pair(kChatml, std::string("no1\n")), std::pair(kLlama3, std::string("no3"))}) {
    const Encoded last = encode(conversation(), special, true);
    REQUIRE(last.counted.size() == last.ids.size());
    CHECK(last.counted == std::string(last.ids.size() - end.size(), '0') + std::string(end.size(), '1'));
  }
  // It need not be the last message.
  ChatRecord chat = conversation();
  chat.messages.pop_back();
  const Encoded earlier = encode(chat, kChatml, true);
  const std::string before = "0system\nbe1\n0user\nhi1\n0assistant\n";
  const std::string after = "0user\nx1\n";
  CHECK(earlier.ids == ids(before + " yo 1\n" + after));
  CHECK(earlier.counted == std::string(before.size(), '0') + "111111" + std::string(after.size(), '0'));
  CHECK_THROWS_AS(encode(ChatRecord{{{"user", "x"}}}, kChatml, true), RecordError);
  CHECK_NOTHROW(encode(ChatRecord{{{"user", "x"}}}, kChatml));
}
