#pragma once

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ane/core/error.h"
#include "ane/core/mapped_memory.h"
#include "ane/mil/program.h"
#include "ane/mil/types.h"

/// Weight blob files (ane.md, section 3): a 64-byte file header, then for each tensor a 64-byte record and its data,
/// all at multiples of 64 bytes, little-endian.
///
///   file header   0 u32 number of tensors, 4 u32 version 2, the rest 0
///   record        0 u32 0xDEADBEEF, 4 u32 type code, 8 u64 data bytes, 16 u64 offset of the data in the file,
///                 24 u64 unused bits (0), the rest 0
///
/// Some programs in circulation write records without size and offset: byte 4 is 1 whatever the type, byte 10 is 8 or
/// 16, all other bytes after the sentinel are 0, and the data follow the record. Such a marker record is read too. It
/// cannot be taken for a standard one whose size or offset is lost, because that byte would have to appear by itself.
namespace ane::mil {

/// A blob file that violates the format; the message names file, position, expected and found value.
class BlobError : public FileError {
 public:
  using FileError::FileError;
};

/// The bytes of a blob file: created in memory, or loaded from a file, where only the parts that a program names take
/// memory. Copies of a loaded file share its memory.
class BlobFile {
 public:
  BlobFile() = default;
  BlobFile(std::vector<std::byte> bytes) : own_(std::move(bytes)) {}  // NOLINT(google-explicit-constructor)
  BlobFile(std::initializer_list<std::byte> bytes) : own_(bytes) {}
  explicit BlobFile(MappedMemory bytes) : loaded_(std::make_shared<const MappedMemory>(std::move(bytes))) {}

  [[nodiscard]] std::span<const std::byte> bytes() const noexcept {
    return loaded_ ? std::span<const std::byte>(loaded_->bytes()) : own_;
  }
  operator std::span<const std::byte>() const noexcept { return bytes(); }  // NOLINT(google-explicit-constructor)
  /// The mutable bytes of a file created in memory.
  [[nodiscard]] std::vector<std::byte>& own() noexcept {
    assert(!loaded_);
    return own_;
  }
  friend bool operator==(const BlobFile& a, const BlobFile& b) { return std::ranges::equal(a.bytes(), b.bytes()); }

 private:
  std::vector<std::byte> own_;
  std::shared_ptr<const MappedMemory> loaded_;
};

/// The blob files of one program by the path that its BLOBFILE constants name ("@model_path/weights/q_proj.bin").
using Blobs = std::map<std::string, BlobFile, std::less<>>;

/// Offset of the first record, and of its data.
inline constexpr std::uint64_t kFirstRecord = 64;
inline constexpr std::uint64_t kFirstData = 128;

/// Writes a file of several tensors.
class BlobWriter {
 public:
  /// Appends a tensor and returns its record's offset, which is what MIL text names. Throws BlobError for a type that
  /// the format cannot hold (bool, string, 64 bits).
  std::uint64_t add(DType dtype, std::span<const std::byte> data);
  [[nodiscard]] std::vector<std::byte> finish() &&;

 private:
  std::vector<std::byte> file_ = std::vector<std::byte>(kFirstRecord);
  std::uint32_t count_ = 0;
};

/// Makes `file` a one-tensor blob file for `data_bytes` bytes and returns the data's span for the caller to fill;
/// reuses the file's memory, so that an update writes weights without allocating.
std::span<std::byte> single_blob(DType dtype, std::size_t data_bytes, BlobFile& file);

/// The data of the record at `offset`, after checking header version, sentinel, type, size against `type`, alignment
/// and bounds. Throws BlobError.
[[nodiscard]] std::span<const std::byte> read_blob(std::span<const std::byte> file, std::uint64_t offset,
                                                   const TensorType& type);

/// Finds `ref` in `blobs` and reads it. Throws BlobError with path and offset.
[[nodiscard]] std::span<const std::byte> read_blob(const Blobs& blobs, const BlobRef& ref, const TensorType& type);

/// The path of the blob file `path` relative to the directory for which "@model_path/" stands. Throws BlobError for a
/// path that lacks this prefix, has no file name or leads out of the directory.
[[nodiscard]] std::filesystem::path blob_place(std::string_view path);

/// Loads the parts that `program` names of every blob file that is not in `given` from `directory`, for which
/// "@model_path/" stands; the rest of those files is zero. Throws BlobError for a path that blob_place() refuses,
/// FileError for a file that cannot be read.
[[nodiscard]] Blobs load_blobs(const Program& program, const std::filesystem::path& directory, Blobs given = {});

/// The distinct blob paths that `program` names, sorted.
[[nodiscard]] std::vector<std::string> blob_paths(const Program& program);

}  // namespace ane::mil
