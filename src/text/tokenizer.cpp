#include "ane/text/tokenizer.h"

#include <fmt/format.h>

#include "ane/core/error.h"

#include "utf8.h"

namespace ane::text {

void Tokenizer::encode(std::string_view text, SpecialTokens special, std::vector<TokenId>& ids) const {
  if (text.size() > kMostTextBytes)
    throw FileError(fmt::format("a text of {} bytes cannot be encoded at once; at most {} are accepted", text.size(),
                                kMostTextBytes));
  const Surroundings& around = surroundings();
  if (special == SpecialTokens::include) ids.insert(ids.end(), around.before.begin(), around.before.end());
  is_utf8(text) ? append_ids(text, ids) : append_ids(to_utf8(text), ids);
  if (special == SpecialTokens::include) ids.insert(ids.end(), around.after.begin(), around.after.end());
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, SpecialTokens special) const {
  std::vector<TokenId> ids;
  encode(text, special, ids);
  return ids;
}

}  // namespace ane::text
