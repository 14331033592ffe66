#include <algorithm>
#include <array>
#include <cassert>
#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "ane/core/checksum.h"
#include "ane/core/error.h"
#include "ane/core/file.h"
#include "ane/data/sources.h"
#include "ane/data/token_format.h"

#include "streams.h"

namespace ane::data {

namespace {

namespace fs = std::filesystem;

/// Text files have one-byte tokens, token files two-byte or four-byte ones.
template <class Unit>
concept TokenUnit =
    std::same_as<Unit, std::uint8_t> || std::same_as<Unit, std::uint16_t> || std::same_as<Unit, std::uint32_t>;

/// How a file is divided: training tokens first, then held-out ones.
struct Split {
  std::size_t training = 0;  ///< tokens
  std::size_t held_out = 0;
};

template <TokenUnit Unit>
class TokenFile final : public Source {
 public:
  /// The tokens begin at byte `begin` of the file.
  TokenFile(RegularFile file, std::uint64_t begin, const TokenSettings& settings)
      : file_(std::move(file)), begin_(begin), settings_(settings), name_(file_.path().filename().string()) {
    assert(settings.seq_len > 0 && settings.vocab_size > 0);
    const std::uint64_t bytes = file_.size_bytes() - begin;
    if (bytes % sizeof(Unit) != 0)
      throw FileError(fmt::format("{}: {} bytes are not a whole number of uint16 tokens; is the file truncated?",
                                  file_.path().string(), bytes));
    split_ = split(static_cast<std::size_t>(bytes / sizeof(Unit)));
    // One token more than a sequence: the target of the last one.
    if (split_.training <= settings.seq_len)
      throw FileError(
          fmt::format("{}: {} for training, but one sequence needs {}; use a shorter --seq or a longer file",
                      file_.path().string(), amount(split_.training), settings.seq_len + 1));
    if (settings.scan) scan();
    content_checksum_ = content_checksum();
  }

  std::string description() const override {
    if (split_.held_out == 0) return fmt::format("{}: {}", name_, amount(split_.training));
    const std::size_t sequences = validation_count();
    const std::size_t used = sequences == 0 ? 0 : sequences * settings_.seq_len + 1;
    std::string text = fmt::format("{}: {} for training, {} held out", name_, amount(split_.training), split_.held_out);
    if (sequences == 0) return text + ", too few for a sequence: no validation";
    text += fmt::format(" in {} sequences", sequences);
    if (used < split_.held_out) text += fmt::format(", the last {} unused", split_.held_out - used);
    return text;
  }

  std::string identity() const override {
    const bool random = settings_.order == Order::random;
    return fmt::format("{} {} content={:016x} seq={} order={}", name_, amount(split_.training + split_.held_out),
                       content_checksum_, settings_.seq_len,
                       random ? fmt::format("random seed={}", settings_.seed) : "sequential");
  }

  void training_sample(std::uint64_t step, Sample& sample) const override { read(training_start(step), sample); }

  std::size_t validation_count() const override {
    return split_.held_out == 0 ? 0 : (split_.held_out - 1) / settings_.seq_len;
  }

  void validation_sample(std::size_t index, Sample& sample) const override {
    if (index >= validation_count()) return Source::validation_sample(index, sample);
    read(split_.training + index * settings_.seq_len, sample);
  }

 private:
  /// The last tenth of a text, rounded up, is held out; nothing of a token file, which is usually split already.
  static Split split(std::size_t tokens) {
    const std::size_t held_out = sizeof(Unit) == 1 ? tokens / 10 + (tokens % 10 != 0 ? 1 : 0) : 0;
    return {tokens - held_out, held_out};
  }

  static std::string amount(std::size_t tokens) {
    return fmt::format("{} {}", tokens, sizeof(Unit) == 1 ? "bytes" : "tokens");
  }

  /// Covers all of a small file, and evenly spaced pieces of a large one, so that it is cheap enough for every restart.
  [[nodiscard]] std::uint64_t content_checksum() const {
    constexpr std::size_t kPieces = 64;
    constexpr std::size_t kPieceBytes = 4096;
    if (file_.size_bytes() <= kPieces * kPieceBytes) return checksum_of(file_);
    std::array<std::byte, kPieceBytes> piece{};
    Checksum checksum;
    for (std::size_t i = 0; i < kPieces; ++i) {
      file_.read((file_.size_bytes() - kPieceBytes) * i / (kPieces - 1), piece);
      checksum.add(piece);
    }
    return checksum.value();
  }

  [[nodiscard]] std::size_t training_start(std::uint64_t step) const noexcept {
    if (settings_.order == Order::random)
      return random_stream(settings_.seed, Stream::token_offset).below(split_.training - settings_.seq_len, step);
    return step % ((split_.training - 1) / settings_.seq_len) * settings_.seq_len;
  }

  void read(std::size_t start, Sample& sample) const {
    sample.tokens.clear();
    sample.tokens.reserve(settings_.seq_len + 1);
    for_pieces(start, settings_.seq_len + 1, [&](std::span<const Unit> piece) {
      sample.tokens.insert(sample.tokens.end(), piece.begin(), piece.end());
    });
  }

  void scan() const {
    // If every value of this type is valid, there is nothing to check.
    if (settings_.vocab_size > std::numeric_limits<Unit>::max()) return;
    for_pieces(0, split_.training + split_.held_out, [](std::span<const Unit>) {});
  }

  /// Reads and checks `count` tokens from `start` on, and passes them to `take` in pieces.
  template <class Take>
  void for_pieces(std::size_t start, std::size_t count, Take&& take) const {
    std::array<Unit, 8192> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): read() fills it
    for (std::size_t done = 0; done < count;) {
      const std::span<Unit> piece = std::span(buffer).first(std::min(buffer.size(), count - done));
      file_.read(byte_of(start + done), std::as_writable_bytes(piece));
      check(start + done, piece);
      take(std::span<const Unit>(piece));
      done += piece.size();
    }
  }

  void check(std::size_t start, std::span<const Unit> sequence) const {
    const auto bad = std::find_if(sequence.begin(), sequence.end(),
                                  [this](Unit token) { return std::size_t{token} >= settings_.vocab_size; });
    if (bad == sequence.end()) return;
    const std::size_t place = start + static_cast<std::size_t>(bad - sequence.begin());
    throw FileError(fmt::format(
        "{}: token {} at byte {} is {}, outside the vocabulary of {}; does the file belong to another tokenizer?",
        file_.path().string(), place, byte_of(place), *bad, settings_.vocab_size));
  }

  [[nodiscard]] std::uint64_t byte_of(std::size_t token) const noexcept { return begin_ + token * sizeof(Unit); }

  RegularFile file_;
  std::uint64_t begin_;
  TokenSettings settings_;
  std::string name_;
  Split split_;
  std::uint64_t content_checksum_ =
      0;  ///< computed at opening: a checkpoint identifies the data even if they have been removed
};

}  // namespace

std::unique_ptr<Source> open_token_file(const fs::path& path, const TokenSettings& settings) {
  const std::string extension = path.extension().string();
  if (extension == ".txt")
    return std::make_unique<TokenFile<std::uint8_t>>(RegularFile(path, "text file"), 0, settings);
  if (extension != ".bin")
    throw UsageError(fmt::format("{}: data files end in .bin (tokens) or .txt (read as bytes), not in '{}'",
                                 path.string(), extension));
  RegularFile file(path, "token file");
  const std::optional<TokenHeader> header = read_token_header(file);
  if (!header) return std::make_unique<TokenFile<std::uint16_t>>(std::move(file), 0, settings);
  if (header->vocab > settings.vocab_size)
    throw FileError(fmt::format("{}: its tokens are of a vocabulary of {}, but the model has {} (--vocab)",
                                path.string(), header->vocab, settings.vocab_size));
  if (header->bits == 16)
    return std::make_unique<TokenFile<std::uint16_t>>(std::move(file), kTokenHeaderBytes, settings);
  return std::make_unique<TokenFile<std::uint32_t>>(std::move(file), kTokenHeaderBytes, settings);
}

}  // namespace ane::data
