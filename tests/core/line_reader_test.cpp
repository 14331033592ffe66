#include "ane/core/line_reader.h"

#include <string>
#include <vector>

#include "support/catch.h"
#include "support/temporary_directory.h"

using namespace ane;

namespace {

struct Lines {
  std::vector<std::string> texts;
  std::vector<std::uint64_t> offsets;
  std::vector<bool> too_long;
  std::vector<bool> has_break;
};

Lines lines_of(const std::string& bytes, std::size_t most_bytes) {
  const TemporaryDirectory directory;
  const RegularFile file(directory.write("a.jsonl", bytes), "data");
  LineReader reader(file, most_bytes);
  Lines lines;
  while (const auto line = reader.next()) {
    CHECK(line->number == lines.texts.size() + 1);
    lines.texts.emplace_back(line->text);
    lines.offsets.push_back(line->offset);
    lines.too_long.push_back(line->is_too_long);
    lines.has_break.push_back(line->has_break);
  }
  CHECK(reader.position() == bytes.size());
  return lines;
}

}  // namespace

TEST_CASE("lines end in LF or CRLF, and the last one need not", "[core][lines]") {
  using Texts = std::vector<std::string>;
  CHECK(lines_of("", 10).texts.empty());
  CHECK(lines_of("\n", 10).texts == Texts{""});
  CHECK(lines_of("a", 10).texts == Texts{"a"});
  CHECK(lines_of("a\r\n\r\nb\n\nc", 10).texts == Texts{"a", "", "b", "", "c"});
  CHECK(lines_of("a\r\n\r\nb\n\nc", 10).offsets == std::vector<std::uint64_t>{0, 3, 5, 7, 8});
  CHECK(lines_of("a\r\n\nb", 10).has_break == std::vector<bool>{true, true, false});
  CHECK(lines_of("a\n", 10).has_break == std::vector<bool>{true});
  CHECK(lines_of("\xEF\xBB\xBF{}\n\xEF\xBB\xBF", 10).texts == Texts{"{}", "\xEF\xBB\xBF"});
  CHECK(lines_of("\xEF\xBB\xBF", 10).texts == Texts{""});
}

TEST_CASE("a line that is too long is reported without its text", "[core][lines]") {
  const Lines lines = lines_of("abcd\nabcde\nabcd", 4);
  CHECK(lines.texts == std::vector<std::string>{"abcd", "", "abcd"});
  CHECK(lines.too_long == std::vector<bool>{false, true, false});
  CHECK(lines.offsets == std::vector<std::uint64_t>{0, 5, 11});
}

TEST_CASE("lines of any length around the size of a piece are read", "[core][lines]") {
  constexpr std::size_t kPiece = std::size_t{1} << 20U;
  for (const std::size_t length : {kPiece - 1, kPiece, kPiece + 1, 3 * kPiece + 17}) {
    CAPTURE(length);
    const std::string text(length, 'x');
    const Lines lines = lines_of("a\n" + text + "\nb\n" + text, 4 * kPiece);
    REQUIRE(lines.texts.size() == 4);
    CHECK((lines.texts[1] == text && lines.texts[3] == text));
    CHECK(lines.texts[2] == "b");
    CHECK(lines.offsets[3] == length + 5);
    const Lines cut = lines_of("a\n" + text + "\nb\n" + text, kPiece - 2);
    CHECK(cut.too_long == std::vector<bool>{false, true, false, true});
    CHECK(cut.texts[2] == "b");
    CHECK(cut.offsets == lines.offsets);
  }
}
