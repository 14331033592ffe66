#include <algorithm>
#include <bit>
#include <cassert>
#include <concepts>
#include <cstring>
#include <span>
#include <string>

#include <fmt/format.h>

#include "ane/core/checksum.h"
#include "ane/core/error.h"
#include "ane/core/file.h"
#include "ane/data/sources.h"

#include "streams.h"

namespace ane::data {

namespace {

namespace fs = std::filesystem;

/// A text file is read as tokens of one byte, the other kind as tokens of two.
template <class Unit>
concept TokenUnit = std::same_as<Unit, std::uint8_t> || std::same_as<Unit, std::uint16_t>;
static_assert(std::endian::native == std::endian::little, "token files are read as they lie in memory");

/// What a file holds, and how it is shared out: training first, then what is held out.
struct Split {
  std::size_t training = 0;  ///< tokens
  std::size_t held_out = 0;
};

template <TokenUnit Unit>
class TokenFile final : public Source {
 public:
  TokenFile(const fs::path& path, const TokenSettings& settings)
      : file_(path, sizeof(Unit) == 1 ? "text file" : "token file"),
        settings_(settings),
        name_(path.filename().string()) {
    assert(settings.seq_len > 0 && settings.vocab_size > 0);
    const std::size_t bytes = file_.bytes().size();
    if (bytes % sizeof(Unit) != 0)
      throw FileError(fmt::format("{}: {} bytes are no whole number of uint16 tokens; is the file cut short?",
                                  path.string(), bytes));
    split_ = split(bytes / sizeof(Unit));
    // One token more than a sequence: the last one's target.
    if (split_.training <= settings.seq_len)
      throw FileError(
          fmt::format("{}: {} for training, but one sequence needs {}; use a shorter --seq or a longer file",
                      path.string(), amount(split_.training), settings.seq_len + 1));
    if (settings.scan) scan();
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
                       content_checksum(), settings_.seq_len,
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
  /// The last tenth of a text, rounded up, is held out; nothing of a token file, whose maker split it already.
  static Split split(std::size_t tokens) {
    const std::size_t held_out = sizeof(Unit) == 1 ? tokens / 10 + (tokens % 10 != 0 ? 1 : 0) : 0;
    return {tokens - held_out, held_out};
  }

  static std::string amount(std::size_t tokens) {
    return fmt::format("{} {}", tokens, sizeof(Unit) == 1 ? "bytes" : "tokens");
  }

  /// Of all of a small file, and of pieces all over a large one: little enough for every restart.
  [[nodiscard]] std::uint64_t content_checksum() const {
    constexpr std::size_t kPieces = 64;
    constexpr std::size_t kPieceBytes = 4096;
    const std::span<const std::byte> bytes = file_.bytes();
    if (bytes.size() <= kPieces * kPieceBytes) return checksum_of(bytes);
    Checksum checksum;
    for (std::size_t i = 0; i < kPieces; ++i)
      checksum.add(bytes.subspan((bytes.size() - kPieceBytes) * i / (kPieces - 1), kPieceBytes));
    return checksum.value();
  }

  [[nodiscard]] std::span<const Unit> tokens() const noexcept {
    return {reinterpret_cast<const Unit*>(file_.bytes().data()), split_.training + split_.held_out};
  }

  [[nodiscard]] std::size_t training_start(std::uint64_t step) const noexcept {
    if (settings_.order == Order::random)
      return random_stream(settings_.seed, Stream::token_offset).below(split_.training - settings_.seq_len, step);
    return step % ((split_.training - 1) / settings_.seq_len) * settings_.seq_len;
  }

  void read(std::size_t start, Sample& sample) const {
    const auto sequence = tokens().subspan(start, settings_.seq_len + 1);
    sample.tokens.assign(sequence.begin(), sequence.end());
    check(start, sequence);
  }

  void scan() const {
    // The largest value that the file can hold is known without reading it.
    if (settings_.vocab_size > std::numeric_limits<Unit>::max()) return;
    check(0, tokens());
  }

  void check(std::size_t start, std::span<const Unit> sequence) const {
    const auto bad = std::find_if(sequence.begin(), sequence.end(),
                                  [this](Unit token) { return std::size_t{token} >= settings_.vocab_size; });
    if (bad == sequence.end()) return;
    const std::size_t place = start + static_cast<std::size_t>(bad - sequence.begin());
    throw FileError(fmt::format(
        "{}: token {} at byte {} is {}, outside the vocabulary of {}; does the file belong to another tokenizer?",
        file_.path().string(), place, place * sizeof(Unit), *bad, settings_.vocab_size));
  }

  MappedFile file_;
  TokenSettings settings_;
  std::string name_;
  Split split_;
};

}  // namespace

std::unique_ptr<Source> open_token_file(const fs::path& path, const TokenSettings& settings) {
  const std::string extension = path.extension().string();
  if (extension == ".bin") return std::make_unique<TokenFile<std::uint16_t>>(path, settings);
  if (extension == ".txt") return std::make_unique<TokenFile<std::uint8_t>>(path, settings);
  throw UsageError(
      fmt::format("{}: data files end in .bin (little-endian uint16 tokens) or .txt (read as bytes), not in '{}'",
                  path.string(), extension));
}

}  // namespace ane::data
