#include "ane/model/companions.h"

#include <cstdint>
#include <filesystem>
#include <string>

#include <nlohmann/json.hpp>

#include "ane/core/error.h"

#include "model/files.h"
#include "support/catch.h"

namespace ane::model {
namespace {

using Json = nlohmann::json;
using test::read_file;
using test::TemporaryFolder;
using test::write_file;

const ModelConfig kConfig = {
    .dim = 8, .hidden = 12, .layers = 2, .heads = 4, .kv_heads = 2, .head_dim = 2, .vocab = 10, .seq_len = 16};

/// config.json as Hugging Face publishes it: for longer sequences, and with entries that ModelConfig does not have.
Json published() {
  ModelConfig config = kConfig;
  config.seq_len = 4096;
  Json published = Json::parse(to_json(config));
  published["bos_token_id"] = 1;
  published["future"] = {{"list", {1, "two"}}};
  return published;
}

std::string contents(const CompanionFile& file, const TemporaryFolder& folder) {
  TemporaryFile to(folder / "copy");
  copy(file, to);
  CHECK(to.digest().size_bytes == file.size_bytes);
  to.commit();
  return read_file(folder / "copy");
}

TEST_CASE("the companions of a model are its config.json and its tokenizer's files", "[model][companions]") {
  const TemporaryFolder folder;
  CHECK(companions_in(folder / ".").empty());
  const std::string binary("\0\xff\n", 3);
  write_file(folder / "tokenizer.model", binary);
  CHECK(companions_in(folder / ".").empty());  // without config.json, the directory is not a model's
  write_file(folder / "config.json", published().dump());
  write_file(folder / "merges.txt", "a b\n");
  write_file(folder / "vocab.json", "");
  for (const char* other : {"optimizer.bin", "tokenizer.json.bak", "README.md"}) write_file(folder / other, "other");

  const Companions found = companions_in(folder / ".");
  const auto check = [&](const Companions& companions) {
    CHECK(companions.config_json == published().dump());
    REQUIRE(companions.files.size() == 3);
    CHECK(companions.files[0].name == "tokenizer.model");
    CHECK(contents(companions.files[0], folder) == binary);
    CHECK(companions.files[1].name == "vocab.json");
    CHECK(contents(companions.files[1], folder).empty());
    CHECK(companions.files[2].name == "merges.txt");
    CHECK(contents(companions.files[2], folder) == "a b\n");
    CHECK(companions.size_bytes() == published().dump().size() + 3 + 4);
  };
  check(found);
  Descriptor spooled = spool(found);
  for (const char* gone : {"config.json", "tokenizer.model", "merges.txt"}) std::filesystem::remove(folder / gone);
  check(companions_in_spool(std::move(spooled)));
}

TEST_CASE("companions that do not belong to a model are refused", "[model][companions][malformed]") {
  const TemporaryFolder folder;
  const auto refused = [&](const char* fault) {
    CAPTURE(fault);
    CHECK_THROWS_AS(companions_in(folder / "."), FileError);
    CHECK_THROWS_WITH(companions_in(folder / "."), ANE_CONTAINS(fault));
  };
  write_file(folder / "config.json", "[]");
  refused("expected a JSON object");
  write_file(folder / "config.json", "{");
  refused("expected a JSON object");
  write_file(folder / "config.json", R"({"a": )" + std::string(100'000, '[') + std::string(100'000, ']') + "}");
  refused("nested more than 32 deep");
  write_file(folder / "config.json", std::string((std::size_t{1} << 20U) + 1, ' '));
  refused("at most 1048576 are accepted");
  write_file(folder / "config.json", "{}");
  write_file(folder / "tokenizer.json", "");
  std::filesystem::resize_file(folder / "tokenizer.json", std::uintmax_t{128} << 20U);
  CHECK(companions_in(folder / ".").files.size() == 1);
  std::filesystem::resize_file(folder / "tokenizer.json", (std::uintmax_t{128} << 20U) + 1);
  refused("tokenizer.json: it has 134217729 bytes");
}

TEST_CASE("a damaged spool is refused", "[model][companions][malformed]") {
  const TemporaryFolder folder;
  const std::uint64_t huge = UINT64_MAX - 7;
  const auto open = [&](const std::string& bytes) {
    write_file(folder / "spool", bytes);
    RegularFile file(folder / "spool", "test");
    NamelessFile copy;
    copy.write(std::as_bytes(std::span(bytes)));
    return companions_in_spool(std::move(copy).release());
  };
  CHECK_THROWS_AS(open("short"), FileError);
  CHECK_THROWS_AS(open(test::bytes_of(huge) + test::bytes_of(huge)), FileError);
  CHECK_THROWS_AS(open(test::bytes_of(std::uint64_t{2}) + test::bytes_of(huge) + "ab"), FileError);
  CHECK_THROWS_AS(open(test::bytes_of(std::uint64_t{0}) + test::bytes_of(std::uint64_t{9}) + "ab"), FileError);
}

TEST_CASE("config.json keeps the entries of the source if it describes the model", "[model][companions]") {
  const Json written = Json::parse(config_json_text(kConfig, published().dump(), "BF16"));
  Json expected = published();
  expected["torch_dtype"] = "bfloat16";
  CHECK(written == expected);
  CHECK(written.at("max_position_embeddings") == 4096);
  CHECK(config_from_json(written.dump(), "written").dim == kConfig.dim);

  // Newer versions of transformers write `dtype`.
  Json newer = published();
  newer.erase("torch_dtype");
  newer["dtype"] = "float16";
  const Json renewed = Json::parse(config_json_text(kConfig, newer.dump(), "F32"));
  CHECK(renewed.at("dtype") == "float32");
  CHECK_FALSE(renewed.contains("torch_dtype"));
}

TEST_CASE("config.json is the model's own if the source describes another or none", "[model][companions]") {
  Json other = published();
  const auto [entry, value] = GENERATE(table<std::string, Json>({{"hidden_size", 16},
                                                                 {"rope_theta", 5.0},
                                                                 {"max_position_embeddings", 8},
                                                                 {"model_type", "unknown"},
                                                                 {"tie_word_embeddings", false}}));
  other[entry] = value;
  CAPTURE(entry);
  for (const std::string& source : {std::string(), other.dump()}) {
    const Json written = Json::parse(config_json_text(kConfig, source, "F32"));
    CHECK(written == Json::parse(to_json(kConfig)));
  }
}

TEST_CASE("config.json names the end token, whichever model the source describes", "[model][companions]") {
  Companions companions;
  set_end_token(companions, 7);
  Json expected = Json::parse(to_json(kConfig));
  expected["eos_token_id"] = 7;
  CHECK(Json::parse(config_json_text(kConfig, companions.config_json, "F32")) == expected);
  companions.config_json = published().dump();
  set_end_token(companions, 5);
  expected = published();
  expected["torch_dtype"] = "float32";
  expected["eos_token_id"] = 5;
  CHECK(Json::parse(config_json_text(kConfig, companions.config_json, "F32")) == expected);
}

}  // namespace
}  // namespace ane::model
