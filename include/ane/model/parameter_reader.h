#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "ane/core/file.h"
#include "ane/model/model_tensors.h"
#include "ane/model/parameters.h"

namespace ane::model {

/// Reads the parameters of a model one by one, whatever its format: by Hugging Face's names, with its order of rows.
class ParameterReader {
 public:
  virtual ~ParameterReader() = default;
  /// Reads all values of `parameter`, which belongs to the layout that the reader was opened with. Throws FileError
  /// naming the tensor, also for a non-finite value.
  virtual void read(const Parameter& parameter, std::span<float> values) const = 0;
  /// Reads whole rows, from `first` on, of a matrix without rotated rows. Thread-safe. Throws as above. By default,
  /// reads the whole matrix.
  virtual void read_rows(const Parameter& parameter, std::size_t first, std::span<float> values) const;
  /// How the values are stored: F32, F16 or BF16.
  [[nodiscard]] virtual std::string dtype(const Parameter& parameter) const = 0;
};

/// The parameters in `tensors`, which must be those of `layout` (expect_tensors()) and outlive the reader. Throws
/// FileError.
[[nodiscard]] std::unique_ptr<ParameterReader> open_tensors(const ModelTensors& tensors, const ParameterLayout& layout);
/// The parameters in a llama2.c file, which must be those of `layout`. Throws FileError.
[[nodiscard]] std::unique_ptr<ParameterReader> open_llama2c(const std::filesystem::path& path,
                                                            const ParameterLayout& layout);
/// The same for an open file.
[[nodiscard]] std::unique_ptr<ParameterReader> open_llama2c(RegularFile file, const ParameterLayout& layout);

/// The parameters in a flat array of `layout`; both must outlive the reader.
[[nodiscard]] std::unique_ptr<ParameterReader> open_array(std::span<const float> parameters,
                                                          const ParameterLayout& layout);

/// Reads all parameters, one after the other, into a flat array. Throws FileError.
void read_all(const ParameterReader& reader, const ParameterLayout& layout, std::span<float> parameters);

}  // namespace ane::model
