#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ane/core/file.h"
#include "ane/mil/types.h"

/// The safetensors format: 8 bytes of little-endian header length, a JSON object with each tensor's dtype, shape and
/// offsets in the data, then the data without gaps. https://github.com/huggingface/safetensors
namespace ane::model {

using Metadata = std::map<std::string, std::string>;
/// Metadata key of the model's config, as JSON, in the files that ane-train writes.
inline constexpr const char* kConfigKey = "config";

/// A tensor to be written, without its values.
struct TensorEntry {
  std::string name;
  mil::Shape shape;
  std::string dtype = "F32";  ///< or F16, BF16
};

/// Writes a safetensors file tensor by tensor, so that only one of them must be in memory. The caller commits the file.
class SafetensorsWriter {
 public:
  /// Writes the header. Throws FileError with the system's message; Error for two tensors of the same name.
  SafetensorsWriter(TemporaryFile& file, std::vector<TensorEntry> tensors, const Metadata& metadata);

  /// Writes the values of the next tensor, rounded to nearest even. Throws FileError with the system's message, and for
  /// a value that is not finite, which could not be read back, or becomes infinite in the tensor's dtype.
  void add(std::span<const float> values);

 private:
  TemporaryFile* file_;
  std::vector<TensorEntry> tensors_;
  std::size_t written_ = 0;  ///< tensors
};

/// A tensor to be written. Does not own the values.
struct NamedTensor {
  std::string name;
  mil::Shape shape;
  std::span<const float> values;
};

/// Writes `tensors` as F32, in their order, and `metadata` atomically to `path`. Values are written directly from the
/// caller's memory. Throws FileError with the system's message, and for non-finite values, which could not be read
/// back; Error for two tensors of the same name.
void write_safetensors(const std::filesystem::path& path, std::span<const NamedTensor> tensors,
                       const Metadata& metadata);
/// Writes to a file that the caller commits.
void write_safetensors(TemporaryFile& file, std::span<const NamedTensor> tensors, const Metadata& metadata);

/// A safetensors file whose header is in memory and was checked against the file's size.
class SafetensorsFile {
 public:
  /// Throws FileError naming the tensor and the problem: header, dtype (F32, F16 and BF16 are supported), shape,
  /// offsets, overlaps, gaps, or the wrong file size.
  explicit SafetensorsFile(const std::filesystem::path& path);
  /// The same for an open file.
  explicit SafetensorsFile(RegularFile file);

  struct Tensor {
    std::string dtype;
    mil::Shape shape;
    std::uint64_t offset = 0;      ///< of the data within the file
    std::uint64_t size_bytes = 0;  ///< of the data
  };
  [[nodiscard]] const std::map<std::string, Tensor, std::less<>>& tensors() const noexcept { return tensors_; }
  [[nodiscard]] const Metadata& metadata() const noexcept { return metadata_; }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return file_.path(); }
  [[nodiscard]] const RegularFile& file() const noexcept { return file_; }

  /// Returns the tensor. Throws FileError if it is missing or has another shape.
  const Tensor& expect(std::string_view name, const mil::Shape& shape) const;
  /// Reads the tensor as fp32. Throws FileError if it is missing, has another shape, contains a non-finite value, or
  /// can no longer be read.
  void read(std::string_view name, const mil::Shape& shape, std::span<float> values) const;
  /// Reads whole rows, from `first` on, of a tensor with two dimensions. Throws as above.
  void read_rows(std::string_view name, const mil::Shape& shape, std::size_t first, std::span<float> values) const;

 private:
  void read(std::string_view name, const Tensor& tensor, std::size_t first, std::span<float> values) const;

  RegularFile file_;
  std::map<std::string, Tensor, std::less<>> tensors_;
  Metadata metadata_;
};

}  // namespace ane::model
