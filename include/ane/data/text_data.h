#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ane/core/file.h"
#include "ane/data/sources.h"
#include "ane/data/token_format.h"
#include "ane/text/tokenizer.h"

/// Text and records as training data: found, turned into tokens, and kept.
namespace ane::data {

/// What files contain: tokens, text, or lines of JSON.
enum class Kind { tokens, text, records };

/// A file of the data, or a descriptor of one that has no name.
class TextInput {
 public:
  explicit TextInput(std::filesystem::path path) : path_(std::move(path)) {}
  TextInput(std::filesystem::path name, std::shared_ptr<const Descriptor> descriptor)
      : path_(std::move(name)), descriptor_(std::move(descriptor)) {}

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  /// Throws FileError.
  [[nodiscard]] RegularFile open() const;

 private:
  std::filesystem::path path_;
  std::shared_ptr<const Descriptor> descriptor_;
};

/// What `--data` names.
struct DataFiles {
  Kind kind = Kind::text;
  std::string name;  ///< for messages and descriptions: "x.jsonl", "a.txt and 2 more files"
  std::vector<TextInput> training;
  std::vector<TextInput> held_out;  ///< of mlx-lm's layout; otherwise the last tenth of the text is held out
  /// Where a cache is kept: beside the first file, or in the directory that was named. Empty if there is none.
  std::filesystem::path directory;
};

/// Finds the files in `list` (files_in_list()). A directory stands for its files `.txt`, sorted by name, or in mlx-lm's
/// layout for its `train.jsonl` and, as held-out data, `valid.jsonl`. `automatic` recognizes tokens by their header or
/// the extension `.bin`, records by `.jsonl`, and takes anything else for text. Throws UsageError for files of
/// different kinds, FileError for a directory without data.
[[nodiscard]] DataFiles find_data(std::string_view list, Format format);
/// The same for data that were read from standard input.
[[nodiscard]] DataFiles data_from_standard_input(std::shared_ptr<const Descriptor> spooled, Format format);

/// How text becomes tokens.
struct TokenizeOptions {
  std::shared_ptr<const text::Tokenizer> tokenizer;
  std::optional<text::TokenId> end_token;  ///< that ends a text
  bool mask_prompt = false;                ///< only the last assistant message, or the completion, counts
  bool skip_bad_records = false;           ///< count them; otherwise the first is an error
  HeldOut held_out = HeldOut::usual;
};

/// Statistics of tokenized text.
struct TokenizeReport {
  std::uint64_t documents = 0;  ///< records or text files
  std::uint64_t text_bytes = 0;
  std::uint64_t tokens = 0;
  std::uint64_t loss_tokens = 0;  ///< that contribute to the loss
  std::uint64_t held_out = 0;     ///< tokens
  std::uint64_t skipped = 0;      ///< bad records
  std::uint64_t first_file = 0;   ///< that has the first of them: an index into DataFiles
  std::string first_skipped{};    ///< the line of the first one, and what is wrong with it
  friend bool operator==(const TokenizeReport&, const TokenizeReport&) = default;
};

/// The first record that was skipped, with its file.
[[nodiscard]] std::string describe_first_skipped(const DataFiles& files, const TokenizeReport& report);

/// Called with the number of bytes that were read so far, and of all.
using Progress = std::function<void(std::uint64_t done, std::uint64_t total)>;

/// Writes the tokens of `files` to `out`, one document after the other, separated by the end token, and commits it with
/// `key`. Unless `files` say what is held out, it is the last tenth of all bytes; a record belongs to the part that it
/// begins in. Needs memory only for the largest record. Throws FileError, which names file and line, for a bad record
/// and for data without tokens; UsageError if the settings do not fit the data, for example without an end token.
[[nodiscard]] TokenizeReport tokenize(const DataFiles& files, const TokenizeOptions& options, std::uint64_t key,
                                      TokenFileWriter& out, const Progress& progress);

/// Identifies the content of the files and all that their tokens depend on. Reads the files. Not 0. Throws FileError.
[[nodiscard]] std::uint64_t key_of(const DataFiles& files, const TokenizeOptions& options);

/// A file of tokens that was made of text.
struct TokenizedData {
  RegularFile file;
  TokenizeReport report;
  bool is_from_cache = false;
  std::filesystem::path kept_at;  ///< empty if it has no name
};

/// The tokens of `files`: from a cache, if it was made of the same content with the same tokenizer and options and no
/// byte of it has changed, or else made now, and kept beside the data, or in `cache_directory` (which may be empty:
/// none) where that is not writable. Throws like tokenize().
[[nodiscard]] TokenizedData open_tokenized(const DataFiles& files, const TokenizeOptions& options,
                                           const std::filesystem::path& cache_directory, const Progress& progress);

}  // namespace ane::data
