#include <algorithm>
#include <array>
#include <cassert>
#include <concepts>
#include <cstdint>
#include <limits>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "ane/core/error.h"
#include "ane/core/file.h"
#include "ane/data/sources.h"
#include "ane/data/token_format.h"

#include "byte_entropy.h"
#include "joined_files.h"
#include "streams.h"

namespace ane::data {

namespace {

namespace fs = std::filesystem;

/// Text files have one-byte tokens, token files two-byte or four-byte ones.
template <class Unit>
concept TokenUnit =
    std::same_as<Unit, std::uint8_t> || std::same_as<Unit, std::uint16_t> || std::same_as<Unit, std::uint32_t>;

/// What is known about the tokens of a file, from its header if it has one.
struct TokenTraits {
  bool is_masked = false;
  std::uint64_t tokenizer = 0;
  TokenFacts facts{};
};

/// How a file is divided: training tokens first, then held-out ones.
struct Split {
  std::size_t training = 0;  ///< tokens
  std::size_t held_out = 0;
};

template <TokenUnit Unit>
class TokenFile final : public Source {
 public:
  TokenFile(JoinedFiles files, const TokenSettings& settings, const TokenTraits& traits)
      : files_(std::move(files)),
        settings_(settings),
        traits_(traits),
        mask_bit_(traits.is_masked ? kMaskBit<Unit> : Unit{0}),
        split_(split(static_cast<std::size_t>(files_.size_bytes() / sizeof(Unit)))) {
    assert(settings.seq_len > 0 && settings.vocab_size > 0);
    // One token more than a sequence: the target of the last one.
    const bool trains = settings.held_out != HeldOut::all;
    if (const std::size_t found = trains ? split_.training : split_.held_out; found <= settings.seq_len)
      throw FileError(fmt::format("{}: {}{}, but one sequence needs {}; use a shorter --seq or a longer file",
                                  files_.path(), amount(found), trains ? " for training" : "", settings.seq_len + 1));
    if (settings.scan) scan();
    content_checksum_ = files_.content_checksum();
  }

  std::string description() const override {
    if (split_.held_out == 0) return fmt::format("{}: {}", files_.name(), amount(split_.training));
    const std::size_t sequences = validation_count();
    const std::size_t used = sequences == 0 ? 0 : sequences * settings_.seq_len + 1;
    std::string text = split_.training == 0 ? fmt::format("{}: {}", files_.name(), amount(split_.held_out))
                                            : fmt::format("{}: {} for training, {} held out", files_.name(),
                                                          amount(split_.training), split_.held_out);
    if (sequences == 0) return text + ", too few for a sequence: no validation";
    text += fmt::format(" in {} sequences", sequences);
    if (used < split_.held_out) text += fmt::format(", the last {} unused", split_.held_out - used);
    return text;
  }

  std::string identity() const override {
    const bool random = settings_.order == Order::random;
    const std::string tokenizer =
        traits_.facts.key == 0 ? std::string() : fmt::format(" tokenizer={:016x}", traits_.tokenizer);
    return fmt::format("{} {}{} content={:016x} seq={} order={}", files_.name(),
                       amount(split_.training + split_.held_out), tokenizer, content_checksum_, settings_.seq_len,
                       random ? fmt::format("random seed={}", settings_.seed) : "sequential");
  }

  /// Warns if less than a tenth of the vocabulary occurs; usual texts use most of it. Not if the tokens were made for
  /// this run, with the tokenizer of its model.
  std::optional<std::string> warning() const override {
    constexpr std::size_t kFew = 10;
    constexpr std::size_t kBytes = 256;
    if (sizeof(Unit) == 1 && settings_.vocab_size > 4 * kBytes)
      return fmt::format(
          "text is read as bytes, which have {} values, but the vocabulary has {} tokens; --vocab {} trains faster, "
          "unless other data need the larger vocabulary",
          kBytes, settings_.vocab_size, kBytes);
    if (sizeof(Unit) == 1 || traits_.facts.key != 0 || !occurring_ || *occurring_ >= settings_.vocab_size / kFew)
      return std::nullopt;
    return fmt::format(
        "only {} of the {} tokens of the vocabulary occur in the data; did another tokenizer make them? A "
        "smaller --vocab trains faster",
        *occurring_, settings_.vocab_size);
  }

  void training_sample(std::uint64_t step, Sample& sample) const override { read(training_start(step), sample); }

  std::size_t validation_count() const override {
    return split_.held_out == 0 ? 0 : (split_.held_out - 1) / settings_.seq_len;
  }

  void validation_sample(std::size_t index, Sample& sample) const override {
    if (index >= validation_count()) return Source::validation_sample(index, sample);
    read(split_.training + index * settings_.seq_len, sample);
  }

  std::optional<std::size_t> training_tokens() const override { return split_.training; }
  std::optional<double> bytes_per_token() const override {
    if (kIsText) return 1;
    const auto& [held_out, text_bytes, key] = traits_.facts;
    const bool is_of_all = settings_.held_out == HeldOut::all && held_out > 0;  // but the number of bytes is not
    if (text_bytes == 0 || is_of_all) return std::nullopt;
    return static_cast<double>(text_bytes) /
           static_cast<double>(held_out > 0 ? held_out : split_.training + split_.held_out);
  }
  std::optional<double> unigram_entropy() const override {
    return kIsText ? std::optional(byte_entropy(files_)) : std::nullopt;
  }

 private:
  static constexpr bool kIsText = sizeof(Unit) == 1;

  [[nodiscard]] Split split(std::size_t tokens) const {
    if (settings_.held_out == HeldOut::all) return {0, tokens};
    const std::size_t held_out =
        kIsText ? tokens / 10 + (tokens % 10 != 0 ? 1 : 0) : static_cast<std::size_t>(traits_.facts.held_out);
    return {tokens - held_out, held_out};
  }

  static std::string amount(std::size_t tokens) {
    return fmt::format("{} {}", tokens, sizeof(Unit) == 1 ? "bytes" : "tokens");
  }

  [[nodiscard]] std::size_t training_start(std::uint64_t step) const noexcept {
    if (settings_.order == Order::random)
      return random_stream(settings_.seed, Stream::token_offset).below(split_.training - settings_.seq_len, step);
    return step % ((split_.training - 1) / settings_.seq_len) * settings_.seq_len;
  }

  void read(std::size_t start, Sample& sample) const {
    sample.tokens.clear();
    sample.loss_mask.clear();
    sample.tokens.reserve(settings_.seq_len + 1);
    for_pieces(start, settings_.seq_len + 1, [&](std::span<const Unit> piece) {
      if (traits_.is_masked) return append_masked(piece, sample);
      sample.tokens.insert(sample.tokens.end(), piece.begin(), piece.end());
    });
    if (traits_.is_masked) sample.loss_mask.erase(sample.loss_mask.begin());  // the first token is no target
  }

  void append_masked(std::span<const Unit> piece, Sample& sample) const {
    for (const Unit token : piece) {
      sample.tokens.push_back(without_mask(token));
      sample.loss_mask.push_back((token & mask_bit_) == 0 ? 1 : 0);
    }
  }

  [[nodiscard]] Token without_mask(Unit token) const noexcept { return token & static_cast<Unit>(~mask_bit_); }

  /// Checks all tokens, and counts how many of the vocabulary occur.
  void scan() {
    // If every value of this type is valid, there is nothing to check.
    if (settings_.vocab_size > without_mask(std::numeric_limits<Unit>::max())) return;
    std::vector<std::uint8_t> occurs(settings_.vocab_size);
    for_pieces(0, split_.training + split_.held_out, [&](std::span<const Unit> piece) {
      for (const Unit token : piece) occurs[without_mask(token)] = 1;
    });
    occurring_ = std::accumulate(occurs.begin(), occurs.end(), std::size_t{0});
  }

  /// Reads and checks `count` tokens from `start` on, and passes them to `take` in pieces.
  template <class Take>
  void for_pieces(std::size_t start, std::size_t count, Take&& take) const {
    std::array<Unit, 8192> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): read() fills it
    for (std::size_t done = 0; done < count;) {
      const std::span<Unit> piece = std::span(buffer).first(std::min(buffer.size(), count - done));
      files_.read((start + done) * sizeof(Unit), std::as_writable_bytes(piece));
      check(start + done, piece);
      take(std::span<const Unit>(piece));
      done += piece.size();
    }
  }

  void check(std::size_t start, std::span<const Unit> sequence) const {
    const auto bad = std::find_if(sequence.begin(), sequence.end(),
                                  [this](Unit token) { return without_mask(token) >= settings_.vocab_size; });
    if (bad == sequence.end()) return;
    const std::size_t place = start + static_cast<std::size_t>(bad - sequence.begin());
    const JoinedFiles::Place found = files_.place(place * sizeof(Unit));
    throw FileError(fmt::format(
        "{}: token {} at byte {} is {}, outside the vocabulary of {}; does the file belong to another tokenizer?",
        found.path, found.body_byte / sizeof(Unit), found.byte, without_mask(*bad), settings_.vocab_size));
  }

  JoinedFiles files_;
  TokenSettings settings_;
  TokenTraits traits_;
  Unit mask_bit_;
  Split split_;
  std::optional<std::size_t> occurring_;  ///< how many tokens of the vocabulary occur, if that was counted
  std::uint64_t content_checksum_ =
      0;  ///< computed at opening: a checkpoint identifies the data even if they have been removed
};

enum class Unit { byte = 1, uint16 = 2, uint32 = 4 };

/// What a file contains.
struct Contents {
  Unit unit = Unit::byte;
  std::uint64_t begin = 0;  ///< where the tokens begin
  std::uint64_t bytes = 0;  ///< of all tokens
  TokenTraits traits{};
};

struct Compression {
  std::string_view magic;
  std::string_view name;
  std::string_view command;  ///< that unpacks a file, and its option that writes to standard output
  std::string_view to_standard_output;
};
constexpr std::array kCompressions = {
    Compression{"\x1f\x8b\x08", "gzip", "gunzip", "gunzip -c"},
    Compression{"\x28\xb5\x2f\xfd", "zstd", "unzstd", "zstdcat"}, Compression{"\xfd\x37zXZ", "xz", "unxz", "xzcat"},
    Compression{"BZh91AY&SY", "bzip2", "bunzip2", "bzcat"}, Compression{"PK\x03\x04", "zip", "unzip", "unzip -p"}};

void refuse_compressed(const RegularFile& file) {
  std::array<char, 16> start{};
  const auto bytes = std::span(start).first(std::min<std::size_t>(start.size(), file.size_bytes()));
  file.read(0, std::as_writable_bytes(bytes));
  for (const Compression& each : kCompressions) {
    if (!std::string_view(bytes.data(), bytes.size()).starts_with(each.magic)) continue;
    throw FileError(fmt::format(
        "{} is compressed with {}; unpack it first with {}, or pass it on with {} FILE | ane-train --data - ...",
        file.path().string(), each.name, each.command, each.to_standard_output));
  }
}

Contents contents_of(const RegularFile& file, const TokenSettings& settings) {
  if (settings.format != Format::tokens) refuse_compressed(file);
  const Contents text{.bytes = file.size_bytes()};
  if (settings.format == Format::text) return text;
  if (const std::optional<TokenHeader> header = read_token_header(file)) {
    if (header->vocab > settings.vocab_size)
      throw FileError(fmt::format("{}: its tokens are of a vocabulary of {}, but the model has {} (--vocab)",
                                  file.path().string(), header->vocab, settings.vocab_size));
    return {header->bits == 16 ? Unit::uint16 : Unit::uint32,
            kTokenHeaderBytes,
            header->token_bytes(),
            {header->is_masked, header->tokenizer, header->facts}};
  }
  if (settings.format != Format::tokens && file.path().extension() != ".bin") return text;
  if (file.size_bytes() % sizeof(std::uint16_t) != 0)
    throw FileError(
        fmt::format("{}: {} bytes are not a whole number of uint16 tokens; is the file truncated? "
                    "--data-format text reads it as text",
                    file.path().string(), file.size_bytes()));
  return {.unit = Unit::uint16, .bytes = file.size_bytes()};
}

std::string described(Unit unit, bool is_masked) {
  if (unit == Unit::byte) return "text";
  return fmt::format("tokens of {} bits{}", unit == Unit::uint16 ? 16 : 32, is_masked ? " with a loss mask" : "");
}

}  // namespace

std::unique_ptr<Source> open_token_files(std::vector<RegularFile> files, const TokenSettings& settings) {
  assert(!files.empty());
  std::vector<JoinedFiles::Part> parts;
  const std::string first = files.front().path().string();
  const Contents of_first = contents_of(files.front(), settings);
  const Unit unit = of_first.unit;
  TokenTraits traits = of_first.traits;
  for (RegularFile& file : files) {
    const Contents contents = contents_of(file, settings);
    if (contents.unit != unit || contents.traits.is_masked != traits.is_masked)
      throw UsageError(
          fmt::format("{} contains {}, but {} {}; train on one kind of data, or choose it by --data-format", first,
                      described(unit, traits.is_masked), file.path().string(),
                      described(contents.unit, contents.traits.is_masked)));
    if (contents.traits.facts.held_out > 0 && files.size() > 1)
      throw UsageError(fmt::format(
          "{} has its own held-out part, so it cannot be joined with other files; train on it alone, or name the text "
          "that it was made of",
          file.path().string()));
    parts.push_back({.file = std::move(file), .begin = contents.begin, .body_bytes = contents.bytes});
  }
  if (parts.size() > 1) traits.facts = {};
  JoinedFiles joined(std::move(parts));
  if (unit == Unit::byte) return std::make_unique<TokenFile<std::uint8_t>>(std::move(joined), settings, traits);
  if (unit == Unit::uint16) return std::make_unique<TokenFile<std::uint16_t>>(std::move(joined), settings, traits);
  return std::make_unique<TokenFile<std::uint32_t>>(std::move(joined), settings, traits);
}

std::unique_ptr<Source> open_token_file(const fs::path& path, const TokenSettings& settings) {
  std::vector<RegularFile> files;
  files.emplace_back(path, "data");
  return open_token_files(std::move(files), settings);
}

}  // namespace ane::data
