#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ane/core/descriptor.h"
#include "ane/core/file.h"
#include "ane/model/config.h"

/// What a Hugging Face model directory has besides the weights: the files of its tokenizer, and entries of config.json
/// that ModelConfig does not have. Other programs need them to open what ane-train writes.
namespace ane::model {

/// A companion file: a part of an open file.
struct CompanionFile {
  std::string name;  ///< "tokenizer.json"
  std::shared_ptr<const RegularFile> file;
  std::uint64_t offset = 0;
  std::uint64_t size_bytes = 0;
};

struct Companions {
  std::string config_json;  ///< the model's config.json; empty if there is none
  std::vector<CompanionFile> files;

  [[nodiscard]] bool empty() const noexcept { return config_json.empty() && files.empty(); }
  /// Size of all files together.
  [[nodiscard]] std::uint64_t size_bytes() const noexcept;
};

/// Whether `name` is the name of a companion file.
[[nodiscard]] bool is_companion_file(std::string_view name);

/// The companions in a model's directory; none if it has no config.json. Throws FileError for a file that cannot be
/// read or is too large to belong to a tokenizer, and for a config.json that is not a JSON object.
[[nodiscard]] Companions companions_in(const std::filesystem::path& directory);

/// The companions of a llama2.c model in `directory`: its tokenizer.bin, if there is one. Throws FileError.
[[nodiscard]] Companions llama2c_companions_in(const std::filesystem::path& directory);
/// The file at `path` as the companion `name`. Throws FileError if it cannot be read or is too large.
[[nodiscard]] CompanionFile open_companion(const std::filesystem::path& path, std::string_view name);

/// Copies a companion file. Throws FileError.
void copy(const CompanionFile& from, TemporaryFile& to);

/// Copies the companions into a file without a name, whose descriptor can be passed through exec. Throws FileError.
[[nodiscard]] Descriptor spool(const Companions& companions);
/// The companions in such a file. Throws FileError.
[[nodiscard]] Companions companions_in_spool(Descriptor spool);

/// Makes config.json name the token that ends a text. Throws FileError if config.json is not a JSON object.
void set_end_token(Companions& companions, std::uint32_t token);

/// The text of config.json for a model with this config, whose weights have the type `dtype` (F32, F16 or BF16). If
/// `source`, the text of a config.json, describes the same model, except that it may support longer sequences, all its
/// entries are kept; otherwise only those of `config` and the end token are written. Throws FileError if `source` is
/// nested too deeply.
[[nodiscard]] std::string config_json_text(const ModelConfig& config, std::string_view source, std::string_view dtype);

}  // namespace ane::model
