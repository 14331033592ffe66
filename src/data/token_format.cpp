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
constexpr std::uint32_t kMasked = 1;  // flag
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
  TokenFacts facts;
};
static_assert(sizeof(RawHeader) == kTokenHeaderBytes);

std::uint32_t bits_for(std::uint32_t vocab, Mask mask) {
  return vocab <= (mask == Mask::present ? kMostVocabOf16Bits / 2 : kMostVocabOf16Bits) ? 16 : 32;
}

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
  if (raw.flags != 0 && raw.flags != kMasked) refuse("flags", raw.flags, "0 or 1");
  if (raw.vocab == 0) refuse("vocabulary", raw.vocab, "1 or more");
  const std::uint64_t token_bytes = raw.bits / kBitsOfByte;
  const std::uint64_t body = file.size_bytes() - sizeof(RawHeader);
  if (body % token_bytes != 0 || body / token_bytes != raw.count)
    throw FileError(
        fmt::format("{}: its header says {} tokens of {} bytes, but {} bytes follow; is the file truncated?",
                    file.path().string(), raw.count, token_bytes, body));
  if (raw.facts.held_out > raw.count)
    throw FileError(fmt::format("{}: its header says that {} of {} tokens are held out", file.path().string(),
                                raw.facts.held_out, raw.count));
  return TokenHeader{.bits = raw.bits,
                     .is_masked = raw.flags == kMasked,
                     .vocab = raw.vocab,
                     .tokenizer = raw.tokenizer,
                     .count = raw.count,
                     .facts = raw.facts};
}

TokenFileWriter::TokenFileWriter(const std::filesystem::path& path, std::uint32_t vocab, std::uint64_t tokenizer,
                                 Mask mask)
    : path_(path),
      header_{
          .bits = bits_for(vocab, mask), .is_masked = mask == Mask::present, .vocab = vocab, .tokenizer = tokenizer},
      file_(path) {
  write_header(false);
}

void TokenFileWriter::append(std::span<const Token> tokens, std::span<const std::uint8_t> loss_mask) {
  assert(std::ranges::all_of(tokens, [&](Token token) { return token < header_.vocab; }));
  assert(loss_mask.empty() || (header_.is_masked && loss_mask.size() == tokens.size()));
  header_.count += tokens.size();
  header_.bits == 32 ? write(tokens, loss_mask, wide_) : write(tokens, loss_mask, narrow_);
}

template <class Unit>
void TokenFileWriter::write(std::span<const Token> tokens, std::span<const std::uint8_t> loss_mask,
                            std::vector<Unit>& buffer) {
  buffer.assign(tokens.begin(), tokens.end());
  for (std::size_t i = 0; i < loss_mask.size(); ++i)
    if (loss_mask[i] == 0) buffer[i] |= kMaskBit<Unit>;
  file_.write(std::as_bytes(std::span(buffer)));
}

void TokenFileWriter::commit(const TokenFacts& facts) {
  header_.facts = facts;
  write_header(true);
  file_.commit();
  sync_directory(path_.parent_path());
}

/// The number of tokens is known only at the end.
void TokenFileWriter::write_header(bool again) {
  const RawHeader raw{.magic = kMagic,
                      .version = kVersion,
                      .bits = header_.bits,
                      .flags = header_.is_masked ? kMasked : 0,
                      .vocab = header_.vocab,
                      .tokenizer = header_.tokenizer,
                      .count = header_.count,
                      .facts = header_.facts};
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
