#include "ane/text/stream.h"

#include <map>
#include <string>
#include <vector>

#include "support/catch.h"

namespace ane::text {
namespace {

/// Decodes like SentencePiece: the first token of a text loses its space, and bytes that are no character become
/// U+FFFD.
std::string decode(std::span<const TokenId> tokens) {
  static const std::map<TokenId, std::string> pieces = {{1, " once"}, {2, " upon"}, {3, "!"},
                                                        {4, "\xE2"},  {5, "\x82"},  {6, "\xAC"}};
  std::string bytes;
  for (const TokenId token : tokens) bytes += pieces.at(token);
  if (bytes.starts_with(' ')) bytes.erase(0, 1);
  const std::size_t euro = bytes.find("\xE2\x82\xAC");
  if (bytes.find('\xE2') == std::string::npos || euro != std::string::npos) return bytes;
  return bytes.substr(0, bytes.find('\xE2')) + "\xEF\xBF\xBD";
}

std::vector<std::string> parts(std::vector<TokenId> before, const std::vector<TokenId>& tokens, const char* stop = "") {
  TextStream stream(decode, before, stop);
  std::vector<std::string> result;
  for (const TokenId token : tokens) result.push_back(stream.add(token));
  result.push_back(stream.finish());
  return result;
}

TEST_CASE("a text begins with a space only if it continues another", "[text][stream]") {
  CHECK(parts({}, {1, 2}) == std::vector<std::string>{"once", " upon", ""});
  CHECK(parts({3}, {1, 2}) == std::vector<std::string>{" once", " upon", ""});
}

TEST_CASE("characters are not split", "[text][stream]") {
  CHECK(parts({}, {1, 4, 5, 6, 3}) == std::vector<std::string>{"once", "", "", "\xE2\x82\xAC", "!", ""});
  // Half a character at the end is shown as what it is.
  CHECK(parts({}, {1, 4}) == std::vector<std::string>{"once", "", "\xEF\xBF\xBD"});
}

TEST_CASE("bytes are withheld until a character is complete", "[text][stream]") {
  const auto bytes = [](std::span<const TokenId> tokens) {
    std::string text;
    for (const TokenId token : tokens) text += static_cast<char>(token);
    return text;
  };
  TextStream stream(bytes, {}, "");
  CHECK(stream.add('a') == "a");
  CHECK(stream.add(0xC3).empty());
  CHECK(stream.add(0xA4) == "\xC3\xA4");
  CHECK(stream.add(0xF0).empty());
  CHECK(stream.finish() == "\xF0");
}

TEST_CASE("the stop text ends a stream and is not part of it", "[text][stream]") {
  CHECK(parts({}, {1, 2, 3}, "ce upo") == std::vector<std::string>{"on", "", "", ""});
  // What may be its beginning is withheld until that is decided.
  CHECK(parts({}, {1, 3}, "e upon") == std::vector<std::string>{"onc", "e!", ""});
  CHECK(parts({}, {1}, "e upon") == std::vector<std::string>{"onc", "e"});
  TextStream stream(decode, {}, "once");
  CHECK(stream.add(1).empty());
  CHECK(stream.is_stopped());
}

}  // namespace
}  // namespace ane::text
