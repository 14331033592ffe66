#include "ane/model/companions.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "ane/core/error.h"
#include "ane/core/file_names.h"

#include "formats/json_object.h"

namespace ane::model {
namespace {

namespace fs = std::filesystem;
using Json = JsonObject::Json;

constexpr std::string_view kLlama2cTokenizer = "tokenizer.bin";
constexpr std::array<std::string_view, 10> kFiles = {
    "tokenizer.json", "tokenizer.model", "tokenizer_config.json",  "special_tokens_map.json", "added_tokens.json",
    "vocab.json",     "merges.txt",      "generation_config.json", "chat_template.jinja",     kLlama2cTokenizer};

constexpr std::uint64_t kMostFileBytes = std::uint64_t{128} << 20U;  // the largest tokenizers have 35 MB
constexpr std::uint64_t kMostConfigBytes = std::uint64_t{1} << 20U;  // like read_config()
constexpr const char* kConfigIs = "model config";
constexpr const char* kEndToken = "eos_token_id";

constexpr int kIndent = 2;

/// Names of an element type in safetensors files and in config.json.
struct TypeName {
  std::string_view dtype;
  const char* torch;
};
constexpr std::array kTypeNames = {TypeName{"F32", "float32"}, TypeName{"F16", "float16"},
                                   TypeName{"BF16", "bfloat16"}};

/// Whether config.json describes this model, or the same one for longer sequences.
bool describes(std::string_view source, const ModelConfig& config) try {
  ModelConfig described = config_from_json(source, kConfigFile);
  if (described.seq_len < config.seq_len) return false;
  described.seq_len = config.seq_len;
  return described == config;
} catch (const FileError&) {
  return false;
}

}  // namespace

CompanionFile open_companion(const fs::path& path, std::string_view name) {
  auto file = std::make_shared<const RegularFile>(path, "tokenizer file");
  if (file->size_bytes() > kMostFileBytes)
    throw_file_error(path,
                     fmt::format("it has {} bytes, but a file of a model's tokenizer may have at most {}; move it "
                                 "away, or copy the model without it",
                                 file->size_bytes(), kMostFileBytes));
  const std::uint64_t size_bytes = file->size_bytes();
  return {.name = std::string(name), .file = std::move(file), .offset = 0, .size_bytes = size_bytes};
}

namespace {

/// Calls take(piece) for all bytes of the file.
template <class Take>
void for_pieces(const CompanionFile& from, Take&& take) {
  constexpr std::uint64_t kPieceBytes = std::uint64_t{1} << 20U;
  std::vector<std::byte> buffer(static_cast<std::size_t>(std::min(kPieceBytes, from.size_bytes)));
  for (std::uint64_t done = 0; done < from.size_bytes;) {
    const auto piece = std::span(buffer).first(
        static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), from.size_bytes - done)));
    from.file->read(from.offset + done, piece);
    take(std::span<const std::byte>(piece));
    done += piece.size();
  }
}

/// Precedes each file in a spool.
struct SpoolEntry {
  std::uint64_t name_bytes;
  std::uint64_t size_bytes;
};

std::span<const std::byte> bytes_of(const SpoolEntry& entry) { return std::as_bytes(std::span(&entry, 1)); }

}  // namespace

std::uint64_t Companions::size_bytes() const noexcept {
  std::uint64_t size = config_json.size();
  for (const CompanionFile& each : files) size += each.size_bytes;
  return size;
}

bool is_companion_file(std::string_view name) { return std::ranges::count(kFiles, name) > 0; }

Companions companions_in(const fs::path& directory) {
  Companions companions;
  if (!is_taken(directory / kConfigFile)) return companions;
  companions.config_json = whole_text(RegularFile(directory / kConfigFile, kConfigIs), kMostConfigBytes);
  static_cast<void>(JsonObject::parse(companions.config_json, kConfigFile));
  for (const std::string_view name : kFiles)
    if (is_taken(directory / name)) companions.files.push_back(open_companion(directory / name, name));
  return companions;
}

Companions llama2c_companions_in(const fs::path& directory) {
  Companions companions;
  if (is_taken(directory / kLlama2cTokenizer))
    companions.files.push_back(open_companion(directory / kLlama2cTokenizer, kLlama2cTokenizer));
  return companions;
}

void copy(const CompanionFile& from, TemporaryFile& to) {
  for_pieces(from, [&](std::span<const std::byte> piece) { to.write(piece); });
}

Descriptor spool(const Companions& companions) {
  NamelessFile file;
  const auto begin_entry = [&](std::string_view name, std::uint64_t size_bytes) {
    file.write(bytes_of({name.size(), size_bytes}));
    file.write(std::as_bytes(std::span(name)));
  };
  begin_entry(kConfigFile, companions.config_json.size());
  file.write(std::as_bytes(std::span(companions.config_json)));
  for (const CompanionFile& each : companions.files) {
    begin_entry(each.name, each.size_bytes);
    for_pieces(each, [&](std::span<const std::byte> piece) { file.write(piece); });
  }
  return std::move(file).release();
}

Companions companions_in_spool(Descriptor spool) {
  const auto file = std::make_shared<const RegularFile>(std::move(spool), "copy of the tokenizer files", "file");
  Companions companions;
  for (std::uint64_t offset = 0; offset < file->size_bytes();) {
    SpoolEntry entry{};
    file->read(offset, std::as_writable_bytes(std::span(&entry, 1)));
    offset += sizeof entry;
    const std::uint64_t rest = file->size_bytes() - std::min(offset, file->size_bytes());
    if (entry.name_bytes > rest || entry.size_bytes > rest - entry.name_bytes)
      throw_file_error(file->path(), "it is damaged");
    std::string name(static_cast<std::size_t>(entry.name_bytes), '\0');
    file->read(offset, std::as_writable_bytes(std::span(name)));
    offset += name.size();
    if (name == kConfigFile) {
      companions.config_json.resize(static_cast<std::size_t>(entry.size_bytes));
      file->read(offset, std::as_writable_bytes(std::span(companions.config_json)));
    } else {
      companions.files.push_back({std::move(name), file, offset, entry.size_bytes});
    }
    offset += entry.size_bytes;
  }
  return companions;
}

void set_end_token(Companions& companions, std::uint32_t token) {
  std::string& config = companions.config_json;
  Json json = config.empty() ? Json::object() : JsonObject::parse(config, kConfigFile).json();
  json[kEndToken] = token;
  config = json.dump(kIndent, ' ', false, Json::error_handler_t::replace);
}

std::string config_json_text(const ModelConfig& config, std::string_view source, std::string_view dtype) {
  const Json known = source.empty() ? Json::object() : JsonObject::parse(source, kConfigFile).json();
  const bool is_kept = !source.empty() && describes(source, config);
  Json json = is_kept ? known : JsonObject::parse(to_json(config), kConfigFile).json();
  if (known.contains(kEndToken)) json[kEndToken] = known[kEndToken];
  const auto* const type = std::ranges::find(kTypeNames, dtype, &TypeName::dtype);
  const bool is_named_dtype = json.contains("dtype") && !json.contains("torch_dtype");
  if (config.family != Family::mlp) json[is_named_dtype ? "dtype" : "torch_dtype"] = type->torch;
  return json.dump(kIndent, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace ane::model
