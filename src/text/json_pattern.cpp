#include "json_pattern.h"

namespace ane::text {

Pattern read_pattern(const Entry& entry) {
  if (const auto literal = entry.find("String")) {
    if (literal->string().empty()) literal->refuse("is empty");
    return Pattern(literal->string());
  }
  const Entry regex = entry.at("Regex");
  return regex.named([&] { return Pattern(Regex(from_oniguruma(regex.string()))); });
}

}  // namespace ane::text
