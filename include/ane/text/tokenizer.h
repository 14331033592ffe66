#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ane::text {

/// The number of a token in the vocabulary.
using TokenId = std::uint32_t;

/// Whether encoding adds the special tokens that the tokenizer puts around a text (often one at its beginning), and
/// whether decoding shows special tokens.
enum class SpecialTokens { omit, include };

/// Special tokens that a tokenizer puts before and after each text.
struct Surroundings {
  std::vector<TokenId> before;
  std::vector<TokenId> after;
};

/// Turns text into tokens of a vocabulary, and tokens into text. Immutable once it is open: every function may be
/// called by several threads at once.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  /// Appends the tokens of `text` to `ids`. Text that is not valid UTF-8 is read as if each maximal invalid sequence
  /// were U+FFFD, as Python and Rust decode bytes. The name of a special token in the text becomes that token if the
  /// file says so. Throws FileError for more than kMostTextBytes, or if a regular expression of the file needs too many
  /// steps.
  void encode(std::string_view text, SpecialTokens special, std::vector<TokenId>& ids) const;
  [[nodiscard]] std::vector<TokenId> encode(std::string_view text, SpecialTokens special = SpecialTokens::omit) const;
  static constexpr std::size_t kMostTextBytes = std::size_t{1} << 30U;

  /// The text of `ids`. Ids that the vocabulary does not have are skipped.
  [[nodiscard]] virtual std::string decode(std::span<const TokenId> ids,
                                           SpecialTokens special = SpecialTokens::include) const = 0;

  [[nodiscard]] virtual const Surroundings& surroundings() const noexcept = 0;
  /// One more than the largest id.
  [[nodiscard]] virtual std::size_t vocab_size() const noexcept = 0;
  /// The token that is called `name`, for example "</s>".
  [[nodiscard]] virtual std::optional<TokenId> find(std::string_view name) const = 0;
  /// The name of a token as it is in the file, which is not always its text; nullopt if the vocabulary does not have
  /// it.
  [[nodiscard]] virtual std::optional<std::string> name(TokenId id) const = 0;
  /// Whether a token stands for no text, such as the one that ends a text.
  [[nodiscard]] virtual bool is_special(TokenId id) const = 0;

  /// Checksum of the file.
  [[nodiscard]] std::uint64_t digest() const noexcept { return digest_; }

 protected:
  explicit Tokenizer(std::uint64_t digest) noexcept : digest_(digest) {}

 private:
  /// `text` is valid UTF-8.
  virtual void append_ids(std::string_view text, std::vector<TokenId>& ids) const = 0;

  std::uint64_t digest_;
};

/// Names of the files of a tokenizer in a model's directory.
inline constexpr const char* kHuggingFaceFile = "tokenizer.json";
inline constexpr const char* kSentencePieceFile = "tokenizer.model";
inline constexpr const char* kLlama2cFile = "tokenizer.bin";

/// The first of these files that `directory` contains; nullopt if it has none.
[[nodiscard]] std::optional<std::filesystem::path> find_tokenizer(const std::filesystem::path& directory);

/// Opens a tokenizer, a file or the one that find_tokenizer() finds in a directory: of Hugging Face's library (type
/// BPE, `.json`), of SentencePiece (`.model`) or of llama2.c (`.bin`). The extension of a file determines its format.
/// Throws FileError, which names the file and the entry, if the file is missing, damaged or needs something that is not
/// supported.
[[nodiscard]] std::unique_ptr<Tokenizer> open_tokenizer(const std::filesystem::path& path);

}  // namespace ane::text
