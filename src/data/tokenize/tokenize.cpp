#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "ane/core/checked.h"
#include "ane/core/checksum.h"
#include "ane/core/error.h"
#include "ane/core/line_reader.h"
#include "ane/data/text_data.h"
#include "ane/text/stream_encoder.h"

#include "record.h"
#include "record_encoder.h"
#include "report_text.h"

namespace ane::data {
namespace {

using text::TokenId;

constexpr std::size_t kMostRecordBytes = std::size_t{64} << 20U;
constexpr std::size_t kPieceBytes = std::size_t{1} << 20U;

std::uint64_t size_of(std::span<const TextInput> inputs) {
  std::uint64_t bytes = 0;
  for (const TextInput& input : inputs) bytes += input.open().size_bytes();
  return bytes;
}

std::string text_at(const RegularFile& file, std::uint64_t begin, std::uint64_t most_bytes) {
  std::string text(static_cast<std::size_t>(std::min(most_bytes, file.size_bytes() - begin)), '\0');
  file.read(begin, std::as_writable_bytes(std::span(text)));
  return text;
}

/// The first character that begins at byte `at` or after it.
std::uint64_t character_at(const RegularFile& file, std::uint64_t at) {
  constexpr std::uint64_t kMostContinuations = 3;
  for (const char byte : text_at(file, at, kMostContinuations)) {
    if ((static_cast<unsigned char>(byte) & 0xC0U) != 0x80U) break;
    ++at;
  }
  return at;
}

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t\r\v\f") == std::string_view::npos; }

/// Reads the files of a data set one after the other and writes their tokens.
class TokenizeJob {
 public:
  TokenizeJob(const DataFiles& files, const TokenizeOptions& options, TokenFileWriter& out, const Progress& progress)
      : files_(&files),
        options_(&options),
        out_(&out),
        progress_(&progress),
        stream_(*options.tokenizer, text::SpecialTokens::omit),
        encoder_(*options.tokenizer, options.end_token, options.mask_prompt) {
    const std::uint64_t training = size_of(files.training);
    total_ = training + size_of(files.held_out);
    constexpr std::uint64_t kHeldOutPart = 10;
    if (options.held_out == HeldOut::usual)
      held_out_at_ = files.held_out.empty() ? training - ceil_div(training, kHeldOutPart) : training;
  }

  TokenizeReport run(std::uint64_t key) {
    for (const auto* inputs : {&files_->training, &files_->held_out})
      for (const TextInput& input : *inputs) {
        const RegularFile file = input.open();
        files_->kind == Kind::text ? read_text(file) : read_records(file);
        offset_ += file.size_bytes();
        ++file_index_;
      }
    expect_tokens();
    report_.held_out = held_out_from_ ? report_.tokens - *held_out_from_ : 0;
    const std::uint64_t text_bytes = report_.held_out > 0 ? held_out_bytes_ : report_.text_bytes;
    // Which bytes the tokens that count stand for is not known.
    out_->commit({.held_out = report_.held_out, .text_bytes = options_->mask_prompt ? 0 : text_bytes, .key = key},
                 report_text(report_));
    return std::move(report_);
  }

 private:
  void read_text(const RegularFile& file) {
    if (options_->mask_prompt)
      throw UsageError(
          fmt::format("{}: it is a text, which has no prompt that --mask-prompt could exclude; omit "
                      "--mask-prompt, or give records (.jsonl)",
                      file.path().string()));
    if (file.size_bytes() == 0) return;
    if (report_.documents++ > 0) write_end(file);
    if (offset_ >= held_out_at_) begin_held_out();
    std::uint64_t begin = text_at(file, 0, kByteOrderMark.size()) == kByteOrderMark ? kByteOrderMark.size() : 0;
    if (offset_ < held_out_at_ && held_out_at_ - offset_ < file.size_bytes()) {
      const std::uint64_t cut = std::max(character_at(file, held_out_at_ - offset_), begin);
      encode(file, begin, cut);
      begin_held_out();
      begin = cut;
    }
    encode(file, begin, file.size_bytes());
  }

  void encode(const RegularFile& file, std::uint64_t begin, std::uint64_t end) {
    while (begin < end) {
      const std::string piece = text_at(file, begin, std::min<std::uint64_t>(kPieceBytes, end - begin));
      begin += piece.size();
      stream_.append(piece, ids_);
      write(piece.size());
      show(offset_ + begin);
    }
    stream_.finish(ids_);
    write(0);
  }

  void write_end(const RegularFile& before) {
    if (!options_->end_token)
      throw UsageError(fmt::format(
          "{}: texts are joined with an end-of-text token, but neither the model nor the tokenizer defines one; set "
          "it with --end-token",
          before.path().string()));
    ids_.push_back(*options_->end_token);
    write(0);
  }

  void read_records(const RegularFile& file) {
    LineReader lines(file, kMostRecordBytes);
    while (const std::optional<LineReader::Line> line = lines.next()) {
      if (offset_ + line->offset >= held_out_at_) begin_held_out();
      if (line->is_too_long || !is_blank(line->text)) read_record(file, *line);
      show(offset_ + lines.position());
    }
  }

  void read_record(const RegularFile& file, const LineReader::Line& line) {
    const auto in_line = [&](std::string_view what) { return fmt::format("line {}: {}", line.number, what); };
    const auto named = [&](std::string_view what) {
      return fmt::format("{}: {}", file.path().string(), in_line(what));
    };
    try {
      if (line.is_too_long) throw RecordError(fmt::format("it is longer than {} MB", kMostRecordBytes >> 20U));
      const std::size_t bytes = encoder_.encode(parse_record(line.text), ids_, loss_mask_);
      ++report_.documents;
      write(bytes);
    } catch (const RecordError& error) {
      ids_.clear();
      loss_mask_.clear();
      if (!options_->skip_bad_records) throw FileError(named(error.what()) + "; --skip-bad-records skips such records");
      if (report_.skipped++ > 0) return;
      report_.first_file = file_index_;
      report_.first_skipped = in_line(error.what());
    } catch (const UsageError& error) {
      throw UsageError(named(error.what()));
    } catch (const FileError& error) {
      throw FileError(named(error.what()));
    }
  }

  /// Writes the tokens that have been made of `bytes` of text.
  void write(std::size_t bytes) {
    out_->append(ids_, loss_mask_);
    report_.tokens += ids_.size();
    report_.loss_tokens += ids_.size() - static_cast<std::size_t>(std::ranges::count(loss_mask_, std::uint8_t{0}));
    report_.text_bytes += bytes;
    if (held_out_from_) held_out_bytes_ += bytes;
    ids_.clear();
    loss_mask_.clear();
  }

  void begin_held_out() {
    if (!held_out_from_) held_out_from_ = report_.tokens;
  }

  void show(std::uint64_t done) {
    if (*progress_ && (done - shown_ >= kPieceBytes || done == total_)) (*progress_)(shown_ = done, total_);
  }

  void expect_tokens() const {
    const bool has_text = files_->kind == Kind::text;
    if (report_.documents == 0 && report_.skipped > 0)
      throw FileError(fmt::format("{}: none of the {} records is valid; the first error: {}", files_->name,
                                  report_.skipped, describe_first_skipped(*files_, report_)));
    if (report_.tokens == 0)
      throw FileError(fmt::format("{}: it contains no {}", files_->name, has_text ? "text" : "record with text"));
    if (report_.loss_tokens == 0)
      throw FileError(
          fmt::format("{}: no token contributes to the loss, because all completions are empty", files_->name));
  }

  const DataFiles* files_;
  const TokenizeOptions* options_;
  TokenFileWriter* out_;
  const Progress* progress_;
  text::StreamEncoder stream_;
  RecordEncoder encoder_;
  std::uint64_t total_ = 0;   ///< bytes of all files
  std::uint64_t offset_ = 0;  ///< of the current file in all of them
  std::uint64_t file_index_ = 0;
  std::uint64_t held_out_at_ = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t shown_ = 0;
  std::optional<std::uint64_t> held_out_from_;  ///< the first token that is held out
  std::uint64_t held_out_bytes_ = 0;            ///< of text
  std::vector<TokenId> ids_;                    ///< not written yet
  std::vector<std::uint8_t> loss_mask_;
  TokenizeReport report_;
};

}  // namespace

TokenizeReport tokenize(const DataFiles& files, const TokenizeOptions& options, std::uint64_t key, TokenFileWriter& out,
                        const Progress& progress) {
  return TokenizeJob(files, options, out, progress).run(key);
}

std::string describe_first_skipped(const DataFiles& files, const TokenizeReport& report) {
  const std::size_t training = files.training.size();
  const auto index = static_cast<std::size_t>(report.first_file);
  const TextInput& input = index < training ? files.training[index] : files.held_out[index - training];
  return fmt::format("{}: {}", input.path().string(), report.first_skipped);
}

std::uint64_t key_of(const DataFiles& files, const TokenizeOptions& options) {
  constexpr std::uint64_t kKeyVersion = 1;  // to be raised when the same text gets other tokens
  Checksum checksum;
  const auto add = [&](std::uint64_t value) { checksum.add(std::as_bytes(std::span(&value, 1))); };
  for (const std::uint64_t value : {kKeyVersion, static_cast<std::uint64_t>(files.kind), options.tokenizer->digest(),
                                    options.end_token ? *options.end_token + std::uint64_t{1} : 0,
                                    std::uint64_t{options.mask_prompt}, std::uint64_t{options.skip_bad_records},
                                    static_cast<std::uint64_t>(options.held_out), std::uint64_t{files.training.size()}})
    add(value);
  for (const auto* inputs : {&files.training, &files.held_out})
    for (const TextInput& input : *inputs) {
      const RegularFile file = input.open();
      add(file.size_bytes());
      add(checksum_of(file));
    }
  return std::max<std::uint64_t>(checksum.value(), 1);
}

}  // namespace ane::data
