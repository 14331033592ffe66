#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ane/core/checksum.h"
#include "ane/core/file.h"
#include "ane/data/source.h"

/// Files of tokens. A `.bin` file is either plain, nothing but little-endian uint16 tokens as llama2.c writes them, or
/// begins with a header of 64 bytes, little-endian:
///   0  8 bytes  magic: FF FF 'A' 'N' 'E' 'T' 'O' 'K', the token 65535 in a plain file
///   8  uint32   version of the format: 1
///  12  uint32   bits of a token: 16 or 32
///  16  uint32   flags: bit 0 if the highest bit of each token is a loss mask, set if the target does not count; bit 1
///               if a report follows the tokens
///  20  uint32   size of the vocabulary
///  24  uint64   digest of the tokenizer; 0 if unknown
///  32  uint64   number of tokens, which follow the header
///  40  uint64   how many of them, the last ones, are held out; 0 if none are
///  48  uint64   bytes of text of the held-out tokens, or of all if none are held out; 0 if unknown
///  56  uint64   key of a cache: what the tokens were made of (key_of()); 0 if the file is none
/// A report is a text, how the tokens were made, and 8 bytes: XXH3 of the tokens, the text and the header, in this
/// order.
namespace ane::data {

/// The optional facts in a header; 0 if unknown.
struct TokenFacts {
  std::uint64_t held_out = 0;    ///< tokens, the last ones
  std::uint64_t text_bytes = 0;  ///< of the held-out tokens, or of all if none are held out
  std::uint64_t key = 0;         ///< of a cache
};

struct TokenHeader {
  std::uint32_t bits = 16;
  bool is_masked = false;
  std::uint32_t vocab = 0;
  std::uint64_t tokenizer = 0;
  std::uint64_t count = 0;
  TokenFacts facts{};
  bool has_report = false;

  /// Of all tokens, which follow the header.
  [[nodiscard]] std::uint64_t token_bytes() const noexcept { return count * (bits / 8); }
};
inline constexpr std::uint64_t kTokenHeaderBytes = 64;

/// The bit of a token in a file with a mask that says that it does not count.
template <class Unit>
inline constexpr Unit kMaskBit = static_cast<Unit>(Unit{1} << (8 * sizeof(Unit) - 1));

/// The header of `file`; nullopt for a plain file. Throws FileError for a version, width, flag or size that is not
/// supported or does not match the file's size.
[[nodiscard]] std::optional<TokenHeader> read_token_header(const RegularFile& file);

/// The report of `file`, whose header is `header`; nullopt if it has none, or if a byte of the file was changed since
/// it was written. Reads the whole file. Throws FileError if it cannot be read.
[[nodiscard]] std::optional<std::string> read_report(const RegularFile& file, const TokenHeader& header);

/// Whether a file has a loss mask.
enum class Mask { none, present };

/// Writes a file of tokens with a header, in 16 bits if the vocabulary and the mask allow it. commit() replaces the
/// file atomically. Every member throws FileError.
class TokenFileWriter {
 public:
  /// `vocab` is the size of the vocabulary, at most 2^31 with a mask, `tokenizer` the digest of the tokenizer.
  TokenFileWriter(const std::filesystem::path& path, std::uint32_t vocab, std::uint64_t tokenizer,
                  Mask mask = Mask::none);
  /// Each of `tokens` is below the size of the vocabulary. `loss_mask`: 0 for a token that does not count, only in a
  /// file with a mask; empty: all count.
  void append(std::span<const Token> tokens, std::span<const std::uint8_t> loss_mask = {});
  /// An empty `report`: the file has none.
  void commit(const TokenFacts& facts = {}, std::string_view report = {});
  [[nodiscard]] std::uint64_t count() const noexcept { return header_.count; }

 private:
  void write_header(bool again);
  template <class Unit>
  void write(std::span<const Token> tokens, std::span<const std::uint8_t> loss_mask, std::vector<Unit>& buffer);

  std::filesystem::path path_;
  TokenHeader header_;
  TemporaryFile file_;
  Checksum checksum_;                  ///< of the tokens
  std::vector<std::uint16_t> narrow_;  ///< tokens on their way into the file
  std::vector<std::uint32_t> wide_;
};

/// Writes a complete token file at once.
void write_token_file(const std::filesystem::path& path, std::span<const Token> tokens, std::uint32_t vocab,
                      std::uint64_t tokenizer);

}  // namespace ane::data
