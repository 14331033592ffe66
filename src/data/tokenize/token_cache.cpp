#include <chrono>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "ane/core/checksum.h"
#include "ane/core/error.h"
#include "ane/data/text_data.h"

#include "report_text.h"

// Tokens that were made of text are kept in a token file, whose header names what they were made of. The name of the
// file depends on the tokenizer and the options, but not on the content: after a change of the text, the file is
// replaced.
namespace ane::data {
namespace {

namespace fs = std::filesystem;

std::uint64_t checksum_of_text(std::string_view text) { return checksum_of(std::as_bytes(std::span(text))); }

/// What distinguishes the caches of a directory.
std::string variant_of(const DataFiles& files, const TokenizeOptions& options) {
  std::string variant = fmt::format("{:016x} {} {} {} {} {}", options.tokenizer->digest(), static_cast<int>(files.kind),
                                    options.mask_prompt, options.skip_bad_records, static_cast<int>(options.held_out),
                                    options.end_token ? *options.end_token + 1ULL : 0);
  for (const auto* inputs : {&files.training, &files.held_out})
    for (const TextInput& input : *inputs) variant += fmt::format(" {}", input.path().filename().string());
  return variant;
}

std::string cache_name(const DataFiles& files, std::uint64_t variant) {
  constexpr std::size_t kMostOfName = 100;  // a file's name may have 255 bytes
  return fmt::format("{}.{:016x}.tokens", files.training.front().path().filename().string().substr(0, kMostOfName),
                     variant);
}

/// Where a cache of `files` may be, the preferred place first.
std::vector<fs::path> cache_places(const DataFiles& files, const TokenizeOptions& options,
                                   const fs::path& cache_directory) {
  if (files.directory.empty()) return {};
  const std::string variant = variant_of(files, options);
  std::vector<fs::path> places = {files.directory / cache_name(files, checksum_of_text(variant))};
  if (cache_directory.empty()) return places;
  // Files of the same name from different directories share this one.
  std::error_code ignored;
  const std::string of_directory = variant + " " + fs::weakly_canonical(files.directory, ignored).string();
  places.push_back(cache_directory / cache_name(files, checksum_of_text(of_directory)));
  return places;
}

/// The file at `place` if it was made of this; nullopt if there is none, it does not match or it is damaged. Its whole
/// content is checked, once for a run: the key was computed from all of the text, which has more bytes than its tokens.
std::optional<TokenizedData> open_if_matching(const fs::path& place, std::uint64_t key, const DataFiles& files,
                                              const TokenizeOptions& options) try {
  std::error_code ignored;
  if (!fs::is_regular_file(place, ignored)) return std::nullopt;
  RegularFile file(place, "tokens");
  const std::optional<TokenHeader> header = read_token_header(file);
  const bool matches = header && header->facts.key == key && header->tokenizer == options.tokenizer->digest() &&
                       header->is_masked == options.mask_prompt && header->vocab == options.tokenizer->vocab_size();
  const std::optional<std::string> text = matches ? read_report(file, *header) : std::nullopt;
  const std::optional<TokenizeReport> report = text ? report_from_text(*text, files) : std::nullopt;
  if (!report) return std::nullopt;
  return TokenizedData{.file = std::move(file), .report = *report, .is_from_cache = true, .kept_at = place};
} catch (const FileError&) {
  return std::nullopt;
}

/// Removes what processes that were killed left. A file that is being written is younger.
void remove_remains(const fs::path& place) {
  constexpr auto kAge = std::chrono::hours(1);
  std::error_code error;
  const std::string name = place.filename().string();
  for (fs::directory_iterator each(place.parent_path(), error), end; !error && each != end; each.increment(error)) {
    if (!TemporaryFile::is_name_for(name, each->path().filename().string())) continue;
    std::error_code ignored;
    const auto age = fs::file_time_type::clock::now() - each->last_write_time(ignored);
    if (!ignored && age > kAge) fs::remove(each->path(), ignored);
  }
}

/// Tokenizes data into the first place that can be written.
class Tokenizing {
 public:
  Tokenizing(const DataFiles& files, const TokenizeOptions& options, std::uint64_t key, const Progress& progress)
      : files_(&files), options_(&options), key_(key), progress_(&progress) {}

  /// Returns false if no file can be written there.
  [[nodiscard]] bool open(const fs::path& place) try {
    const text::Tokenizer& tokenizer = *options_->tokenizer;
    out_.emplace(place, static_cast<std::uint32_t>(tokenizer.vocab_size()), tokenizer.digest(),
                 options_->mask_prompt ? Mask::present : Mask::none);
    place_ = place;
    return true;
  } catch (const FileError& error) {
    reason_ = error.what();
    return false;
  }

  /// Why the last open() failed.
  [[nodiscard]] const std::string& reason() const noexcept { return reason_; }

  [[nodiscard]] TokenizedData run() {
    TokenizeReport report = tokenize(*files_, *options_, key_, *out_, *progress_);
    return {.file = RegularFile(place_, "tokens"), .report = std::move(report), .kept_at = place_};
  }

 private:
  const DataFiles* files_;
  const TokenizeOptions* options_;
  std::uint64_t key_;
  const Progress* progress_;
  fs::path place_;
  std::string reason_;
  std::optional<TokenFileWriter> out_;
};

}  // namespace

TokenizedData open_tokenized(const DataFiles& files, const TokenizeOptions& options, const fs::path& cache_directory,
                             const Progress& progress) {
  const std::uint64_t key = key_of(files, options);
  const std::vector<fs::path> places = cache_places(files, options, cache_directory);
  for (const fs::path& place : places)
    if (std::optional<TokenizedData> found = open_if_matching(place, key, files, options)) return std::move(*found);
  Tokenizing tokenizing(files, options, key, progress);
  for (const fs::path& place : places) {
    std::error_code ignored;
    if (place.parent_path() == cache_directory) fs::create_directories(cache_directory, ignored);
    remove_remains(place);
    if (tokenizing.open(place)) return tokenizing.run();
  }
  const ScratchDirectory scratch("ane-train-tokens");  // the file stays open, and has no name afterwards
  if (!tokenizing.open(scratch.path() / "tokens"))
    throw FileError(fmt::format("the tokens of the data cannot be written: {}", tokenizing.reason()));
  TokenizedData data = tokenizing.run();
  data.kept_at.clear();
  return data;
}

}  // namespace ane::data
