#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ane/mil/types.h"

namespace ane::model {

/// What a parameter does, which decides how it is initialized and whether weight decay applies.
enum class Role { embedding, matrix, norm, bias, adapter };

/// One tensor of a model, and its position in the flat arrays of parameters, gradients and optimizer slots.
struct Parameter {
  std::string name;  ///< Hugging Face's: "model.layers.0.self_attn.q_proj.weight"
  mil::Shape shape;  ///< matrices [out, in]
  Role role = Role::matrix;
  /// Its name in Meta's files (meta_format.h), such as "layers.0.attention.wq.weight"; empty if `name` is the only one.
  std::string meta_name = {};
  /// Number of rows of a head if RoPE rotates the channels that this matrix computes, else 0.
  std::size_t rotated_rows = 0;
  bool is_frozen = false;  ///< not trained: its values stay in the model's files (FrozenParameters)

  // Set by the layout, in elements:
  std::size_t offset = 0;  ///< a multiple of 16, so that every tensor is 64-byte aligned
  std::size_t count = 0;

  /// Whether weight decay applies: to matrices, embeddings and adapters, not to norms and biases.
  [[nodiscard]] bool decays() const noexcept { return role != Role::norm && role != Role::bias; }
};

class ParameterLayout {
 public:
  /// Appends a tensor and returns its index. Throws Error if the name exists or the shape is invalid.
  std::size_t add(Parameter parameter);

  /// The layout of only those parameters for which `belongs` is true.
  template <class Belongs>
  [[nodiscard]] ParameterLayout part(const Belongs& belongs) const {
    ParameterLayout part;
    for (const Parameter& parameter : parameters_)
      if (belongs(parameter)) part.add(parameter);
    return part;
  }

  [[nodiscard]] std::span<const Parameter> parameters() const noexcept { return parameters_; }
  [[nodiscard]] const Parameter& at(std::size_t index) const { return parameters_.at(index); }
  /// Returns null if there is no tensor of that name.
  [[nodiscard]] const Parameter* find(std::string_view name) const noexcept;
  /// Length of the flat array, including padding, which stays 0.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// Number of elements without padding.
  [[nodiscard]] std::size_t parameter_count() const noexcept { return parameter_count_; }

 private:
  std::vector<Parameter> parameters_;
  std::map<std::string, std::size_t, std::less<>> index_;
  std::size_t size_ = 0;
  std::size_t parameter_count_ = 0;
};

/// The part of a flat array for `parameter`.
template <class T>
[[nodiscard]] std::span<T> slice(std::span<T> flat, const Parameter& parameter) {
  return flat.subspan(parameter.offset, parameter.count);
}

}  // namespace ane::model
