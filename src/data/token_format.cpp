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
constexpr std::uint32_t kMasked = 1;  // flags
constexpr std::uint32_t kReported = 2;
constexpr std::uint64_t kChecksumBytes = sizeof(std::uint64_t);
constexpr std::uint64_t kMostReportBytes = std::uint64_t{1} << 20U;
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

RawHeader raw_header(const TokenHeader& header) {
  return {.magic = kMagic,
          .version = kVersion,
          .bits = header.bits,
          .flags = (header.is_masked ? kMasked : 0) | (header.has_report ? kReported : 0),
          .vocab = header.vocab,
          .tokenizer = header.tokenizer,
          .count = header.count,
          .facts = header.facts};
}

/// The bytes between the header and the end, without the checksum.
void add_body(Checksum& checksum, const RegularFile& file) {
  constexpr std::uint64_t kCheckedBytes = std::uint64_t{1} << 20U;
  std::vector<std::byte> buffer(static_cast<std::size_t>(kCheckedBytes));
  const std::uint64_t end = file.size_bytes() - kChecksumBytes;
  for (std::uint64_t at = kTokenHeaderBytes; at < end;) {
    const auto piece = std::span(buffer).first(static_cast<std::size_t>(std::min(kCheckedBytes, end - at)));
    file.read(at, piece);
    checksum.add(piece);
    at += piece.size();
  }
}

/// Throws FileError unless the tokens, and a report if there is one, fill the file.
void expect_size(const RegularFile& file, const TokenHeader& header) {
  const std::uint64_t token_bytes = header.bits / kBitsOfByte;
  const std::uint64_t body = file.size_bytes() - kTokenHeaderBytes;
  const std::uint64_t tokens = body / token_bytes;
  const bool is_right = header.has_report ? header.count <= tokens && body - header.token_bytes() >= kChecksumBytes &&
                                                body - header.token_bytes() <= kMostReportBytes
                                          : body % token_bytes == 0 && header.count == tokens;
  if (is_right) return;
  throw FileError(
      fmt::format("{}: its header says {} tokens of {} bytes{}, but {} bytes follow; is the file truncated?",
                  file.path().string(), header.count, token_bytes, header.has_report ? " and a report" : "", body));
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
  if (raw.flags > (kMasked | kReported)) refuse("flags", raw.flags, "0 to 3");
  if (raw.vocab == 0) refuse("vocabulary", raw.vocab, "1 or more");
  const TokenHeader header{.bits = raw.bits,
                           .is_masked = (raw.flags & kMasked) != 0,
                           .vocab = raw.vocab,
                           .tokenizer = raw.tokenizer,
                           .count = raw.count,
                           .facts = raw.facts,
                           .has_report = (raw.flags & kReported) != 0};
  expect_size(file, header);
  if (raw.facts.held_out > raw.count)
    throw FileError(fmt::format("{}: its header says that {} of {} tokens are held out", file.path().string(),
                                raw.facts.held_out, raw.count));
  return header;
}

std::optional<std::string> read_report(const RegularFile& file, const TokenHeader& header) {
  if (!header.has_report) return std::nullopt;
  Checksum checksum;
  add_body(checksum, file);
  const RawHeader raw = raw_header(header);
  checksum.add(std::as_bytes(std::span(&raw, 1)));
  std::uint64_t expected = 0;
  const std::uint64_t end = file.size_bytes() - kChecksumBytes;
  file.read(end, std::as_writable_bytes(std::span(&expected, 1)));
  if (checksum.value() != expected) return std::nullopt;
  const std::uint64_t begin = kTokenHeaderBytes + header.token_bytes();
  std::string report(static_cast<std::size_t>(end - begin), '\0');
  file.read(begin, std::as_writable_bytes(std::span(report)));
  return report;
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
  const auto bytes = std::as_bytes(std::span(buffer));
  checksum_.add(bytes);
  file_.write(bytes);
}

void TokenFileWriter::commit(const TokenFacts& facts, std::string_view report) {
  assert(report.size() + kChecksumBytes <= kMostReportBytes);
  header_.facts = facts;
  header_.has_report = !report.empty();
  if (header_.has_report) {
    checksum_.add(std::as_bytes(std::span(report)));
    const RawHeader raw = raw_header(header_);
    checksum_.add(std::as_bytes(std::span(&raw, 1)));
    const std::uint64_t checksum = checksum_.value();
    file_.write(std::as_bytes(std::span(report)));
    file_.write(std::as_bytes(std::span(&checksum, 1)));
  }
  write_header(true);
  file_.commit();
  sync_directory(path_.parent_path());
}

/// The number of tokens is known only at the end.
void TokenFileWriter::write_header(bool again) {
  const RawHeader raw = raw_header(header_);
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
