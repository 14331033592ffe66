#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "ane/text/tokenizer.h"

#include "support/temporary_directory.h"

namespace ane::test {

/// The tokens of one character have its code; others follow them.
inline constexpr text::TokenId kAb = 128;  ///< "ab", the only merge
inline constexpr text::TokenId kEnd = 129;
inline constexpr text::TokenId kFirstOfChat = 130;

inline const std::vector<std::string> kChatml = {"<|im_start|>", "<|im_end|>"};
inline const std::vector<std::string> kLlama3 = {"<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>",
                                                 "<|eot_id|>"};

/// A tokenizer.json with ASCII characters, "ab", "<end>" and `special` tokens.
inline std::string small_tokenizer_json(const std::vector<std::string>& special = {}) {
  nlohmann::json vocabulary = nlohmann::json::object();
  for (int code = 0; code < 128; ++code) vocabulary[std::string(1, static_cast<char>(code))] = code;
  vocabulary["ab"] = kAb;
  nlohmann::json file = {
      {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", {"a b"}}}},
      {"added_tokens", {{{"id", kEnd}, {"content", "<end>"}, {"special", true}, {"normalized", false}}}}};
  text::TokenId next = kFirstOfChat;
  for (const std::string& name : special)
    file["added_tokens"].push_back({{"id", next++}, {"content", name}, {"special", true}, {"normalized", false}});
  return file.dump();
}

inline std::shared_ptr<const text::Tokenizer> small_tokenizer(const std::vector<std::string>& special = {}) {
  const TemporaryDirectory directory;
  return text::open_tokenizer(directory.write("tokenizer.json", small_tokenizer_json(special)));
}

}  // namespace ane::test
