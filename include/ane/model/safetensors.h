#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "ane/core/file.h"
#include "ane/mil/types.h"

/// The safetensors format: 8 bytes little-endian header length, a JSON object that gives each tensor's dtype, shape and
/// place in the data, then the data, without holes. https://github.com/huggingface/safetensors
namespace ane::model {

using Metadata = std::map<std::string, std::string>;

/// A tensor to be written. The values stay the caller's.
struct NamedTensor {
  std::string name;
  mil::Shape shape;
  std::span<const float> values;
};

/// Writes `tensors` as F32, in their order, and `metadata` to a file beside `path` that is synced and renamed into
/// place. Nothing is copied: values go from the caller's memory to the file. Throws FileError with the system's words,
/// and for a value that is not finite, as nothing is written that would not be read; Error for two tensors of one name.
void write_safetensors(const std::filesystem::path& path, std::span<const NamedTensor> tensors,
                       const Metadata& metadata);
/// The same to a file that the caller commits.
void write_safetensors(AsideFile& file, std::span<const NamedTensor> tensors, const Metadata& metadata);

/// A safetensors file, of which the header is in memory. All that it claims has been checked against the file's size.
class SafetensorsFile {
 public:
  /// Throws FileError naming the tensor and what is wrong with it: header, dtype (F32, F16 and BF16 are read), shape,
  /// offsets, overlaps, holes, or a file that ends too early or too late.
  explicit SafetensorsFile(const std::filesystem::path& path);

  struct Tensor {
    std::string dtype;
    mil::Shape shape;
    std::uint64_t offset = 0;      ///< of the data in the file
    std::uint64_t size_bytes = 0;  ///< of the data
  };
  [[nodiscard]] const std::map<std::string, Tensor, std::less<>>& tensors() const noexcept { return tensors_; }
  [[nodiscard]] const Metadata& metadata() const noexcept { return metadata_; }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return file_.path(); }

  /// Throws FileError if there is no such tensor, or it has another shape.
  const Tensor& expect(std::string_view name, const mil::Shape& shape) const;
  /// The tensor as fp32. Throws FileError if it is missing, has another shape, holds a value that is not finite, or can
  /// no longer be read.
  void read(std::string_view name, const mil::Shape& shape, std::span<float> values) const;

 private:
  RegularFile file_;
  std::map<std::string, Tensor, std::less<>> tensors_;
  Metadata metadata_;
};

}  // namespace ane::model
