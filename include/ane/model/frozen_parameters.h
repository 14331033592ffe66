#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ane/model/parameter_reader.h"
#include "ane/model/parameters.h"

namespace ane::model {

/// Rows of a frozen classifier that a step reads at a time.
inline constexpr std::size_t kFrozenRows = 4096;

/// Parameters that training does not change. They stay in the model's files, in the files' element type, and are
/// converted to fp32 wherever they are used. The files are read, not mapped, so that one that becomes shorter is an
/// error instead of a signal; the system keeps what it read in its page cache.
class FrozenParameters {
 public:
  FrozenParameters() = default;
  /// The parameters of `layout` for which `is_frozen` holds. `reader` must have been opened for `layout`.
  template <class Predicate>
  FrozenParameters(const ParameterLayout& layout, const Predicate& is_frozen,
                   std::shared_ptr<const ParameterReader> reader)
      : reader_(std::move(reader)) {
    for (const Parameter& parameter : layout.parameters())
      if (is_frozen(parameter)) add(parameter);
  }

  [[nodiscard]] const ParameterLayout& layout() const noexcept { return layout_; }
  /// Reads the vectors, which are small, for vector(). Throws FileError.
  void load_vectors();
  /// Whether the files still have the values.
  [[nodiscard]] bool can_be_read() const noexcept;
  /// Reads all values of a parameter of layout(). Thread-safe. Throws FileError.
  void read(const Parameter& parameter, std::span<float> values) const { reader_->read(parameter, values); }
  /// Reads whole rows of an embedding, from `first` on. Thread-safe. Throws FileError.
  void read_rows(const Parameter& parameter, std::size_t first, std::span<float> values) const {
    reader_->read_rows(parameter, first, values);
  }
  /// A parameter of one dimension; load_vectors() must have been called.
  [[nodiscard]] std::span<const float> vector(const Parameter& parameter) const { return vectors_.at(parameter.name); }

 private:
  void add(Parameter parameter);

  std::shared_ptr<const ParameterReader> reader_;
  ParameterLayout layout_;
  std::map<std::string, std::vector<float>, std::less<>> vectors_;
};

/// All parameters of a model: the trained ones in a flat array, the frozen ones in their files. Refers to its parts.
class ParameterValues {
 public:
  /// `frozen` may be null.
  ParameterValues(const ParameterLayout& trained, std::span<const float> values,
                  const FrozenParameters* frozen = nullptr)
      : trained_(&trained), values_(values), frozen_(frozen) {}

  /// Returns null if there is no parameter of that name.
  [[nodiscard]] const Parameter* find(std::string_view name) const noexcept;
  /// The values of a parameter of either layout. Those of a frozen one are read into `buffer`. Throws FileError.
  [[nodiscard]] std::span<const float> read(const Parameter& parameter, std::vector<float>& buffer) const;

 private:
  const ParameterLayout* trained_;
  std::span<const float> values_;
  const FrozenParameters* frozen_;
};

}  // namespace ane::model
