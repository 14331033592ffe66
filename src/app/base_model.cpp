#include "ane/app/base_model.h"

#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>

#include "ane/app/model_source.h"
#include "ane/core/checksum.h"
#include "ane/core/descriptor.h"
#include "ane/core/error.h"

namespace ane::app {
namespace {

RegularFile duplicate_of(const RegularFile& file) { return {file.duplicate(), file.path(), "model"}; }

/// Reads a model of open files, whose headers it reads when the first value is wanted: a restarted process adopts the
/// state before it finds that a file is damaged, and can save it.
class OpenFilesReader final : public model::ParameterReader {
 public:
  OpenFilesReader(std::filesystem::path path, std::vector<FrozenFile> files, model::ParameterLayout layout)
      : path_(std::move(path)), layout_(std::move(layout)), files_(std::move(files)) {}

  void read(const model::Parameter& parameter, std::span<float> values) const override {
    reader().read(parameter, values);
  }
  void read_rows(const model::Parameter& parameter, std::size_t first, std::span<float> values) const override {
    reader().read_rows(parameter, first, values);
  }
  std::string dtype(const model::Parameter& parameter) const override { return reader().dtype(parameter); }

 private:
  const model::ParameterReader& reader() const {
    for (const FrozenFile& file : files_) file.expect_unchanged();
    std::call_once(opened_, [this] { open(); });
    return *reader_;
  }

  void open() const {
    if (path_.extension() == ".bin") {
      reader_ = model::open_llama2c(duplicate_of(files_.front().file), layout_);
      return;
    }
    std::vector<RegularFile> files;
    for (const FrozenFile& each : files_) files.push_back(duplicate_of(each.file));
    tensors_.emplace(path_, std::move(files));
    reader_ = model::open_tensors(*tensors_, layout_);
  }

  std::filesystem::path path_;
  model::ParameterLayout layout_;
  std::vector<FrozenFile> files_;
  mutable std::once_flag opened_;
  mutable std::optional<model::ModelTensors> tensors_;
  mutable std::unique_ptr<model::ParameterReader> reader_;
};

}  // namespace

void FrozenFile::expect_unchanged() const {
  if (file.identity() != identity)
    throw FileError(
        fmt::format("model '{}' was changed during the run, but frozen parameters are read from it; leave it unchanged "
                    "until the run ends, or train from a copy",
                    file.path().string()));
}

BaseModel::BaseModel(const std::filesystem::path& path) {
  const ModelSource source = open_model(path);
  path_ = source.file;
  if (source.tensors) {
    for (const model::SafetensorsFile& shard : source.tensors->shards()) add(duplicate_of(shard.file()));
  } else {
    add(RegularFile(source.file, "model"));
  }
}

BaseModel::BaseModel(const std::vector<PassedFile>& files, std::string digest) : digest_(std::move(digest)) {
  for (const PassedFile& passed : files) {
    ::fcntl(passed.descriptor, F_SETFD, FD_CLOEXEC);
    files_.push_back({RegularFile(Descriptor(passed.descriptor), passed.path, "model"), passed.identity});
  }
  path_ = files_.at(0).file.path();
}

void BaseModel::add(RegularFile file) {
  const FileIdentity identity = file.identity();
  files_.push_back({std::move(file), identity});
}

std::shared_ptr<const model::ParameterReader> BaseModel::open(const model::ParameterLayout& layout) const {
  std::vector<FrozenFile> files;
  for (const auto& [file, identity] : files_) files.push_back({duplicate_of(file), identity});
  return std::make_shared<OpenFilesReader>(path_, std::move(files), layout);
}

const std::string& BaseModel::digest() {
  if (!digest_.empty()) return digest_;
  std::uint64_t bytes = 0;
  std::vector<std::uint64_t> checksums;
  for (const FrozenFile& each : files_) {
    bytes += each.file.size_bytes();
    checksums.push_back(checksum_of(each.file));
  }
  digest_ = fmt::format("{} bytes, checksum {:016x}", bytes, checksum_of(std::as_bytes(std::span(checksums))));
  return digest_;
}

std::vector<PassedFile> BaseModel::files() const {
  std::vector<PassedFile> passed;
  for (const auto& [file, identity] : files_) passed.push_back({file.descriptor(), identity, file.path()});
  return passed;
}

}  // namespace ane::app
