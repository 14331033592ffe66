#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace ane::model {

/// A file written in pieces beside its place, for contents too large to hold twice. Until commit() its place keeps the
/// old file; without it nothing remains. Every member throws FileError with the system's words.
class AsideFile {
 public:
  explicit AsideFile(std::filesystem::path path);
  ~AsideFile();
  AsideFile(const AsideFile&) = delete;
  AsideFile& operator=(const AsideFile&) = delete;

  void write(std::span<const std::byte> bytes);
  /// Syncs and renames into place. Nothing may be written afterwards.
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path aside_;
  int descriptor_ = -1;
};

}  // namespace ane::model
