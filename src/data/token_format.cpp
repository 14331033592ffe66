#include "ane/data/token_format.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cstddef>
#include <cstring>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "ane/core/error.h"

namespace ane::data {
namespace {

static_assert(std::endian::native == std::endian::little, "token files are read and written in native byte order");

constexpr std::array<char, 8> kMagic = {'\xff', '\xff', 'A', 'N', 'E', 'T', 'O', 'K'};
constexpr std::uint32_t kVersion = 1;
constexpr std::uint64_t kBitsOfByte = 8;
constexpr std::size_t kMostVocabOf16Bits = 65536;

/// As it is in the file.
struct RawHeader {
  std::array<char, 8> magic;
  std::uint32_t version;
  std::uint32_t bits;
  std::uint32_t flags;
  std::uint32_t vocab;
  std::uint64_t tokenizer;
  std::uint64_t count;
  std::array<std::byte, 24> zero;
};
static_assert(sizeof(RawHeader) == kTokenHeaderBytes);

}  // namespace

std::optional<TokenHeader> read_token_header(const RegularFile& file) {
  if (file.size_bytes() < sizeof(RawHeader)) return std::nullopt;
  RawHeader raw{};
  file.read(0, std::as_writable_bytes(std::span(&raw, 1)));
  if (raw.magic != kMagic) return std::nullopt;
  const auto refuse = [&](std::string_view field, std::uint64_t found, std::string_view supported) {
    throw FileError(fmt::format("{}: its header says {} = {}, but the supported value is {}", file.path().string(),
                                field, found, supported));
  };
  if (raw.version != kVersion) refuse("version", raw.version, "1");
  if (raw.bits != 16 && raw.bits != 32) refuse("bits per token", raw.bits, "16 or 32");
  if (raw.flags != 0) refuse("flags", raw.flags, "0");
  if (raw.vocab == 0) refuse("vocabulary", raw.vocab, "1 or more");
  const std::uint64_t token_bytes = raw.bits / kBitsOfByte;
  const std::uint64_t body = file.size_bytes() - sizeof(RawHeader);
  if (body % token_bytes != 0 || body / token_bytes != raw.count)
    throw FileError(
        fmt::format("{}: its header says {} tokens of {} bytes, but {} bytes follow; is the file truncated?",
                    file.path().string(), raw.count, token_bytes, body));
  return TokenHeader{.bits = raw.bits, .vocab = raw.vocab, .tokenizer = raw.tokenizer, .count = raw.count};
}

TokenFileWriter::TokenFileWriter(const std::filesystem::path& path, std::uint32_t vocab, std::uint64_t tokenizer)
    : path_(path),
      header_{.bits = vocab <= kMostVocabOf16Bits ? 16U : 32U, .vocab = vocab, .tokenizer = tokenizer, .count = 0},
      file_(path) {
  write_header(false);
}

void TokenFileWriter::append(std::span<const Token> tokens) {
  assert(std::ranges::all_of(tokens, [&](Token token) { return token < header_.vocab; }));
  header_.count += tokens.size();
  if (header_.bits == 32) return file_.write(std::as_bytes(tokens));
  narrow_.assign(tokens.begin(), tokens.end());
  file_.write(std::as_bytes(std::span(narrow_)));
}

void TokenFileWriter::commit() {
  write_header(true);
  file_.commit();
  sync_directory(path_.parent_path());
}

/// The number of tokens is known only at the end.
void TokenFileWriter::write_header(bool again) {
  const RawHeader raw{.magic = kMagic,
                      .version = kVersion,
                      .bits = header_.bits,
                      .flags = 0,
                      .vocab = header_.vocab,
                      .tokenizer = header_.tokenizer,
                      .count = header_.count,
                      .zero = {}};
  const auto bytes = std::as_bytes(std::span(&raw, 1));
  again ? file_.replace_beginning(bytes) : file_.write(bytes);
}

void write_token_file(const std::filesystem::path& path, std::span<const Token> tokens, std::uint32_t vocab,
                      std::uint64_t tokenizer) {
  TokenFileWriter file(path, vocab, tokenizer);
  file.append(tokens);
  file.commit();
}

}  // namespace ane::data
