#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ane/core/error.h"
#include "ane/mil/program.h"
#include "ane/mil/types.h"

/// Weight blob files (ane.md, section 3): a 64-byte file header, then for each tensor a 64-byte record and its data,
/// all at multiples of 64 bytes, little-endian.
namespace ane::mil {

/// A blob file that breaks the format: which, where, expected and found.
class BlobError : public Error {
 public:
  using Error::Error;
};

/// The blob files of one program by the path that its BLOBFILE constants name ("@model_path/weights/wq.bin").
using Blobs = std::map<std::string, std::vector<std::byte>, std::less<>>;

/// Offset of the first record, and of its data.
inline constexpr std::uint64_t kFirstRecord = 64;
inline constexpr std::uint64_t kFirstData = 128;

/// Lays out a file of several tensors.
class BlobWriter {
 public:
  /// Appends a tensor and returns its record's offset, which is what MIL text names.
  std::uint64_t add(DType dtype, std::span<const std::byte> data);
  [[nodiscard]] std::vector<std::byte> finish() &&;

 private:
  std::vector<std::byte> file_;
  std::uint32_t count_ = 0;
};

/// Makes `file` a one-tensor blob file for `data_bytes` bytes and returns the data's place in it, to be filled by the
/// caller; reuses the vector's memory, so that an update writes weights without allocating.
std::span<std::byte> single_blob(DType dtype, std::size_t data_bytes, std::vector<std::byte>& file);

/// The data of the record at `offset`, after checking sentinel, type, size against `type` and bounds. Throws BlobError.
[[nodiscard]] std::span<const std::byte> read_blob(std::span<const std::byte> file, std::uint64_t offset,
                                                   const TensorType& type);

/// Finds `ref` among `blobs` and reads it; the error names path and offset. Throws BlobError.
[[nodiscard]] std::span<const std::byte> read_blob(const Blobs& blobs, const BlobRef& ref, const TensorType& type);

/// Loads every blob file that `program` names from `directory` ("@model_path/" stands for it). Throws FileError.
[[nodiscard]] Blobs load_blobs(const Program& program, const std::filesystem::path& directory);

/// Every blob path that `program` names, once, sorted.
[[nodiscard]] std::vector<std::string> blob_paths(const Program& program);

}  // namespace ane::mil
