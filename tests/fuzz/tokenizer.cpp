#include "ane/text/tokenizer.h"

#include <algorithm>
#include <string>
#include <vector>

#include "ane/core/error.h"

#include "fuzz/support.h"

namespace fuzz {
namespace {

using namespace ane;
using text::SpecialTokens;

void use_tokenizer(const std::filesystem::path& path, std::string_view words) {
  may_refuse<FileError>([&] {
    const auto tokenizer = text::open_tokenizer(path);
    for (const std::string_view text : {std::string_view("  ab12 the \u4e16\u00e9\n<s>\xFF"), words}) {
      const std::vector<text::TokenId> ids = tokenizer->encode(text, SpecialTokens::include);
      require(std::all_of(ids.begin(), ids.end(), [&](text::TokenId id) { return id < tokenizer->vocab_size(); }),
              "tokens are in the vocabulary");
      static_cast<void>(tokenizer->decode(ids));
      static_cast<void>(tokenizer->decode(ids, SpecialTokens::omit));
    }
    for (const text::TokenId id : {0U, 1U, 300U, ~0U}) {
      const std::optional<std::string> name = tokenizer->name(id);
      require(name.has_value() || !tokenizer->is_special(id), "a token without a name is not special");
    }
  });
}

}  // namespace

void tokenizer_json(Bytes json) {
  static InputFile input("tokenizer.json");
  use_tokenizer(input.hold(json), text_of(json).substr(0, 100));
}

void tokenizer_binary(Bytes bytes) {
  static InputFile sentence_piece("tokenizer.model");
  static InputFile llama2c("tokenizer.bin");
  Reader reader(bytes);
  const bool which = (reader.byte() & 1) != 0;
  use_tokenizer((which ? sentence_piece : llama2c).hold(reader.rest()), text_of(reader.rest()).substr(0, 100));
}

}  // namespace fuzz
