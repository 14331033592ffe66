#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include <fmt/format.h>

#include "ane/core/error.h"
#include "ane/core/file_names.h"

#include "formats.h"

namespace ane::text {
namespace {

namespace fs = std::filesystem;

struct Format {
  std::string_view extension;
  const char* file;  ///< its name in a directory
  std::unique_ptr<Tokenizer> (*open)(const RegularFile&);
};
constexpr std::array kFormats = {Format{".json", kHuggingFaceFile, open_hugging_face},
                                 Format{".model", kSentencePieceFile, open_sentence_piece},
                                 Format{".bin", kLlama2cFile, open_llama2c}};

}  // namespace

std::optional<fs::path> find_tokenizer(const fs::path& directory) {
  for (const Format& format : kFormats)
    if (is_taken(directory / format.file)) return directory / format.file;
  return std::nullopt;
}

std::unique_ptr<Tokenizer> open_tokenizer(const fs::path& path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) {
    if (const std::optional<fs::path> found = find_tokenizer(path)) return open_tokenizer(*found);
    throw_file_error(path, fmt::format("the directory has none of {}, {} and {}", kHuggingFaceFile, kSentencePieceFile,
                                       kLlama2cFile));
  }
  const RegularFile file(path, "tokenizer");
  for (const Format& format : kFormats)
    if (path.extension() == format.extension) return format.open(file);
  throw_file_error(path,
                   "the name of a tokenizer must end in .json (Hugging Face), .model (SentencePiece) or .bin "
                   "(llama2.c)");
}

}  // namespace ane::text
