#include "tokenize/record.h"

#include <string>

#include "support/catch.h"

using namespace ane::data;

namespace {

std::string refusal(const std::string& line) try {
  static_cast<void>(parse_record(line));
  return "accepted";
} catch (const RecordError& error) {
  return error.what();
}

}  // namespace

TEST_CASE("records of each kind are read", "[data][records]") {
  CHECK(std::get<TextRecord>(parse_record(R"({"text": "a\n\u00e9\ud83d\ude00"})")).text == "a\n\u00e9\U0001F600");
  const auto completion = std::get<CompletionRecord>(parse_record(R"({"completion": "b", "prompt": "a"})"));
  CHECK(completion.prompt == "a");
  CHECK(completion.completion == "b");
  const auto chat = std::get<ChatRecord>(parse_record(
      R"({"messages": [{"role": "system", "content": ""}, {"content": "hi", "role": "user", "name": {"role": "x"}}]})"));
  REQUIRE(chat.messages.size() == 2);
  CHECK(chat.messages[0].role == "system");
  CHECK(chat.messages[0].content.empty());
  CHECK(chat.messages[1].role == "user");
  CHECK(chat.messages[1].content == "hi");
}

TEST_CASE("a prompt with a completion is preferred to messages, and these to a text", "[data][records]") {
  const std::string messages = R"("messages": [{"role": "user", "content": "m"}])";
  CHECK(std::holds_alternative<CompletionRecord>(
      parse_record(R"({"text": "t", )" + messages + R"(, "prompt": "p", "completion": "c"})")));
  CHECK(std::holds_alternative<ChatRecord>(parse_record(R"({"text": "t", "prompt": "p", )" + messages + "}")));
  CHECK(std::holds_alternative<TextRecord>(parse_record(R"({"text": "t", "messages": null, "prompt": null})")));
}

TEST_CASE("other entries are ignored", "[data][records]") {
  CHECK(std::get<TextRecord>(parse_record(
                                 R"({"meta": {"text": 5, "messages": [1, {"role": 2}]}, "id": [[["text"]]], "x": 1e5,
                                     "y": true, "text": "t", "meta": null})"))
            .text == "t");
}

TEST_CASE("a bad record is refused with what is wrong", "[data][records]") {
  const auto check = [](const std::string& line, const std::string& expected) {
    CAPTURE(line);
    CHECK_THAT(refusal(line), ANE_CONTAINS(expected));
  };
  check("", "not valid JSON at byte 1: ");
  check("{", "not valid JSON at byte");
  check(R"({"text": "a"} x)", "not valid JSON at byte 15");
  check(R"({"text": "a", })", "not valid JSON");
  check("{\"text\": \"\xFF\"}", "not valid JSON");
  check(R"({"text": "\ud800"})", "not valid JSON");
  check(R"({"n": 1e999})", "not valid JSON");
  check("5", "it is not a JSON object");
  check("null", "it is not a JSON object");
  check(R"(["text"])", "it is not a JSON object");
  check("{}", "it has none of 'text'");
  check(R"({"text": null})", "it has none of 'text'");
  check(R"({"text": 5})", "'text' is a number, but a string is needed");
  check(R"({"text": ["a"]})", "'text' is an array, but a string is needed");
  check(R"({"prompt": {"a": 1}})", "'prompt' is an object, but a string is needed");
  check(R"({"completion": false, "prompt": ""})", "'completion' is true or false");
  check(R"({"text": "a", "text": "b"})", "'text' is given twice");
  check(R"({"text": null, "text": "b"})", "'text' is given twice");
  check(R"({"messages": [], "messages": []})", "'messages' is given twice");
  check(R"({"prompt": "a"})", "it has a 'prompt', but no 'completion'");
  check(R"({"completion": "a"})", "it has a 'completion', but no 'prompt'");
  check(R"({"messages": []})", "'messages' is empty");
  check(R"({"messages": "a"})", "'messages' is a string, but an array is needed");
  check(R"({"messages": {}})", "'messages' is an object, but an array is needed");
  check(R"({"messages": [5]})", "message 1 is a number, but an object is needed");
  check(R"({"messages": [[]]})", "message 1 is an array, but an object is needed");
  check(R"({"messages": [{"role": "user", "content": "a"}, {}]})", "message 2 has no 'role'");
  check(R"({"messages": [{"role": "user"}]})", "message 1 has no 'content'");
  check(R"({"messages": [{"role": "user", "content": null}]})", "message 1 has no 'content'");
  check(R"({"messages": [{"role": "user", "content": ["a"]}]})", "'content' is an array, but a string is needed");
  check(R"({"messages": [{"role": 1, "content": "a"}]})", "'role' is a number, but a string is needed");
  check(R"({"messages": [{"role": "tool", "content": "a"}]})", "message 1 has the role 'tool', but the supported");
  check(R"({"messages": [{"role": "user", "role": "user", "content": "a"}]})", "'role' is given twice");
}

TEST_CASE("deep nesting is refused, and costs neither memory nor stack", "[data][records]") {
  for (const std::string& opening : {std::string("["), std::string(R"({"a":)")}) {
    std::string line = R"({"x": )";
    for (int i = 0; i < 1000000; ++i) line += opening;
    CHECK_THAT(refusal(line), ANE_CONTAINS("it is nested more than 100 deep"));
  }
}
