#include <algorithm>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "ane/core/error.h"
#include "ane/data/text_data.h"

namespace ane::data {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTrainFile = "train.jsonl";
constexpr const char* kValidFile = "valid.jsonl";
constexpr std::string_view kRecordsExtension = ".jsonl";
constexpr std::string_view kTextExtension = ".txt";
constexpr std::string_view kTokensExtension = ".bin";

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

bool has_token_header(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored) && read_token_header(RegularFile(path, "data")).has_value();
}

Kind kind_of(const fs::path& path, Format format) {
  if (format == Format::tokens) return Kind::tokens;
  if (format == Format::text) return Kind::text;
  if (format == Format::records) return Kind::records;
  if (path.extension() == kTokensExtension || has_token_header(path)) return Kind::tokens;
  return path.extension() == kRecordsExtension ? Kind::records : Kind::text;
}

std::string_view described(Kind kind) {
  return kind == Kind::tokens ? "tokens" : kind == Kind::text ? "text" : "records";
}

/// The `.txt` files of a directory. Hidden ones, such as those in which macOS keeps attributes, are not data.
std::vector<fs::path> texts_in(const fs::path& directory) {
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::directory_iterator each(directory, error), end; !error && each != end; each.increment(error))
    if (each->path().extension() == kTextExtension && !each->path().filename().string().starts_with('.'))
      files.push_back(each->path());
  if (error) throw_file_error(directory, fmt::format("the directory cannot be read: {}", error.message()));
  std::ranges::sort(files, {}, [](const fs::path& path) { return path.filename().string(); });
  return files;
}

void add_directory(const fs::path& directory, Format format, DataFiles& files, Kind& kind) {
  const bool may_be_records = format == Format::automatic || format == Format::records;
  if (may_be_records && is_there(directory / kTrainFile)) {
    kind = Kind::records;
    files.training.emplace_back(directory / kTrainFile);
    if (is_there(directory / kValidFile)) files.held_out.emplace_back(directory / kValidFile);
    return;
  }
  if (format == Format::tokens) throw_file_error(directory, "it is a directory; name its files of tokens");
  if (format == Format::records)
    throw_file_error(directory, fmt::format("the directory has no {}; name the files of records in it", kTrainFile));
  const std::vector<fs::path> texts = texts_in(directory);
  if (texts.empty())
    throw_file_error(directory, fmt::format("the directory has neither {} nor a {} file; name the files of data in it",
                                            kTrainFile, kTextExtension));
  kind = Kind::text;
  for (const fs::path& path : texts) files.training.emplace_back(path);
}

/// The last part of a path, also if it ends in a slash.
std::string last_part(const fs::path& path) {
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

}  // namespace

RegularFile TextInput::open() const {
  if (!descriptor_) return RegularFile(path_, "data");
  return RegularFile(descriptor_->duplicate(), path_, "data");
}

DataFiles find_data(std::string_view list, Format format) {
  DataFiles files;
  const std::vector<fs::path> paths = files_in_list(list);
  for (const fs::path& path : paths) {
    std::error_code ignored;
    const bool is_directory = fs::is_directory(path, ignored);
    const bool is_first = &path == &paths.front();
    Kind kind = Kind::text;
    if (is_directory) {
      add_directory(path, format, files, kind);
    } else {
      kind = kind_of(path, format);
      files.training.emplace_back(path);
    }
    if (is_first) {
      files.kind = kind;
      files.directory = is_directory ? path : path.has_parent_path() ? path.parent_path() : fs::path(".");
    } else if (kind != files.kind) {
      throw UsageError(
          fmt::format("{} contains {}, but {} {}; train on one kind of data, or choose it by --data-format",
                      paths.front().string(), described(files.kind), path.string(), described(kind)));
    }
  }
  files.name = name_of_files(last_part(paths.front()), paths.size());
  return files;
}

DataFiles data_from_standard_input(std::shared_ptr<const Descriptor> spooled, Format format) {
  DataFiles files;
  files.name = "standard input";
  files.training.emplace_back(files.name, std::move(spooled));
  const bool is_tokens = format == Format::automatic && read_token_header(files.training.front().open());
  files.kind = is_tokens ? Kind::tokens : kind_of(files.name, format);
  return files;
}

}  // namespace ane::data
