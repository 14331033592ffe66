#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <vector>

#include "ane/core/file.h"
#include "ane/data/source.h"

/// Files of tokens. A `.bin` file is either plain, nothing but little-endian uint16 tokens as llama2.c writes them, or
/// begins with a header of 64 bytes, little-endian:
///   0  8 bytes  magic: FF FF 'A' 'N' 'E' 'T' 'O' 'K', the token 65535 in a plain file
///   8  uint32   version of the format: 1
///  12  uint32   bits of a token: 16 or 32
///  16  uint32   flags: none are defined yet; a loss mask will be the first
///  20  uint32   size of the vocabulary
///  24  uint64   digest of the tokenizer; 0 if unknown
///  32  uint64   number of tokens, which follow the header
///  40  24 bytes zero
namespace ane::data {

struct TokenHeader {
  std::uint32_t bits = 16;
  std::uint32_t vocab = 0;
  std::uint64_t tokenizer = 0;
  std::uint64_t count = 0;
};
inline constexpr std::uint64_t kTokenHeaderBytes = 64;

/// The header of `file`; nullopt for a plain file. Throws FileError for a version, width, flag or size that is not
/// supported or does not match the file's size.
[[nodiscard]] std::optional<TokenHeader> read_token_header(const RegularFile& file);

/// Writes a file of tokens with a header, in 16 bits if the vocabulary allows it. commit() replaces the file
/// atomically. Every member throws FileError.
class TokenFileWriter {
 public:
  /// `vocab` is the size of the vocabulary, `tokenizer` the digest of the tokenizer.
  TokenFileWriter(const std::filesystem::path& path, std::uint32_t vocab, std::uint64_t tokenizer);
  /// Each of `tokens` is below the size of the vocabulary.
  void append(std::span<const Token> tokens);
  void commit();
  [[nodiscard]] std::uint64_t count() const noexcept { return header_.count; }

 private:
  void write_header(bool again);

  std::filesystem::path path_;
  TokenHeader header_;
  TemporaryFile file_;
  std::vector<std::uint16_t> narrow_;  ///< tokens on their way into the file
};

/// The same for tokens that are all there.
void write_token_file(const std::filesystem::path& path, std::span<const Token> tokens, std::uint32_t vocab,
                      std::uint64_t tokenizer);

}  // namespace ane::data
