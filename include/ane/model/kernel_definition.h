#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ane/device/device.h"
#include "ane/math/threads.h"
#include "ane/mil/blob.h"
#include "ane/mil/program.h"
#include "ane/model/frozen_parameters.h"
#include "ane/model/model.h"
#include "ane/model/packed_layout.h"
#include "ane/model/parameters.h"

namespace ane::model {

/// Rows and columns of a parameter of two dimensions.
struct WeightBlock {
  math::Range rows, columns;
};

/// A parameter, or a block of it, that is baked into a program.
struct WeightBlob {
  std::string path;       ///< in the program: "@model_path/weights/self_attn.q_proj.bin"
  std::string parameter;  ///< within its layer: "self_attn.q_proj.weight"
  bool transposed = false;
  std::optional<WeightBlock> block = {};
};

/// A parameter that is part of the kernel's input and stays there until the next update.
struct WeightSegment {
  std::string segment;
  std::string parameter;    ///< within its layer; of adapters, which not every layer need have, zeros if it is absent
  bool transposed = false;  ///< the segment's channels are the parameter's second dimension
};

/// A tensor that training does not change: masks, tables.
struct ConstantBlob {
  std::string path;
  std::vector<float> values;
};

/// Complete description of a kernel, created by a pure function of the model's configuration.
struct KernelDefinition {
  /// Whether a segment of the input holds a weight rather than an activation.
  [[nodiscard]] bool is_weight(std::string_view segment) const noexcept;

  std::string name;
  mil::Program program;
  PackedLayout input;
  PackedLayout output;
  std::vector<WeightBlob> weights;
  std::vector<WeightSegment> weight_segments;
  std::vector<ConstantBlob> constants;
};

/// A kernel template that can be compiled repeatedly with new weights: its text is printed once (equal text lets a
/// device reuse its plan), its blobs are laid out once and overwritten.
class KernelTemplate {
 public:
  /// `definition` must outlive this.
  KernelTemplate(const KernelDefinition& definition, mil::DType element);

  [[nodiscard]] const KernelDefinition& definition() const noexcept { return *definition_; }
  [[nodiscard]] bool has_baked_weights() const noexcept { return !definition_->weights.empty(); }

  /// Converts the weights called `prefix` + WeightBlob::parameter and compiles. Throws like Device::compile, with the
  /// kernel's name prefixed.
  [[nodiscard]] std::unique_ptr<device::Kernel> compile(device::Device& device, std::string_view prefix,
                                                        const ParameterValues& parameters, math::ThreadPool& threads);

  /// Blob size of one copy in bytes.
  [[nodiscard]] std::size_t blob_bytes() const;

 private:
  void pack(std::string_view prefix, const ParameterValues& parameters, math::ThreadPool& threads);
  void pack(const WeightBlob& weight, std::string_view prefix, const ParameterValues& parameters);

  const KernelDefinition* definition_;
  mil::DType element_;
  std::string text_;
  mil::Blobs blobs_;
};

}  // namespace ane::model
