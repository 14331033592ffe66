#include "ane/text/end_tokens.h"

#include <limits>
#include <optional>
#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "ane/core/error.h"
#include "ane/core/file.h"
#include "ane/core/file_names.h"
#include "ane/core/json_fault.h"
#include "ane/core/memory_reserve.h"

#include "entry.h"

namespace ane::text {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

/// Null if the file does not exist.
Json read_json(const fs::path& path) {
  constexpr std::uint64_t kMostBytes = std::uint64_t{16} << 20U;
  if (!is_taken(path)) return nullptr;
  const std::string text = whole_text(RegularFile(path, "model config"), kMostBytes);
  ensure_memory_reserve();  // for JSON's destructors
  Json json;
  try {
    json = Json::parse(text);
  } catch (const Json::exception& error) {
    throw_file_error(path,
                     fmt::format("expected a JSON object, but it is not valid JSON: {}", json_fault(error.what())));
  }
  if (!json.is_object()) throw_file_error(path, "expected a JSON object");
  return json;
}

std::vector<TokenId> ids_of(const Entry& entry) {
  constexpr std::uint64_t kMost = std::numeric_limits<TokenId>::max();
  std::vector<TokenId> ids;
  if (entry.json().is_array()) {
    for (const Entry& element : entry.elements()) ids.push_back(static_cast<TokenId>(element.number(kMost)));
  } else {
    ids.push_back(static_cast<TokenId>(entry.number(kMost)));
  }
  return ids;
}

}  // namespace

std::vector<TokenId> end_tokens(const fs::path& directory, const Tokenizer* tokenizer) {
  for (const char* name : {"generation_config.json", "config.json"}) {
    const Json json = read_json(directory / name);
    if (json.is_null()) continue;
    if (const auto ids = Entry(json, (directory / name).string()).find("eos_token_id")) return ids_of(*ids);
  }
  const Json json = read_json(directory / "tokenizer_config.json");
  if (json.is_null() || tokenizer == nullptr) return {};
  const auto token = Entry(json, (directory / "tokenizer_config.json").string()).find("eos_token");
  if (!token) return {};
  const std::string name = token->json().is_object() ? token->at("content").string() : token->string();
  const std::optional<TokenId> id = tokenizer->find(name);
  return id ? std::vector<TokenId>{*id} : std::vector<TokenId>{};
}

}  // namespace ane::text
