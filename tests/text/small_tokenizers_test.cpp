#include "text/small_tokenizers.h"

#include <fstream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "ane/text/tokenizer.h"

#include "support/catch.h"
#include "support/paths.h"
#include "support/temporary_directory.h"

namespace {

using namespace ane;
using nlohmann::json;
using test::file_of;
using text::SpecialTokens;
using text::TokenId;

}  // namespace

TEST_CASE("small tokenizers give the ids and texts of Hugging Face's library", "[text][golden]") {
  REQUIRE(test::small_tokenizers().at("tokenizers").size() > 40);
  const TemporaryDirectory directory;
  for (const json& row : test::small_tokenizers().at("tokenizers")) {
    const auto tokenizer = text::open_tokenizer(directory.write("tokenizer.json", file_of(row).dump()));
    for (std::size_t i = 0; i < test::small_tokenizers().at("texts").size(); ++i) {
      const auto text = test::small_tokenizers().at("texts")[i].get<std::string>();
      const json& expected = row.at("cases").at(i);
      const auto ids = expected.at("ids").get<std::vector<TokenId>>();
      const auto with_special = expected.value("with_special", ids);
      const auto decoded = expected.at("decoded").get<std::string>();
      CAPTURE(row.at("name").get<std::string>(), text);
      CHECK(tokenizer->encode(text) == ids);
      CHECK(tokenizer->encode(text, SpecialTokens::include) == with_special);
      CHECK(tokenizer->decode(ids) == decoded);
      CHECK(tokenizer->decode(with_special, SpecialTokens::omit) == expected.value("decoded_without_special", decoded));
    }
  }
}
