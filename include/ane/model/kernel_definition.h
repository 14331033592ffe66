#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ane/device/device.h"
#include "ane/math/threads.h"
#include "ane/mil/blob.h"
#include "ane/mil/program.h"
#include "ane/model/model.h"
#include "ane/model/packed_layout.h"
#include "ane/model/parameters.h"

namespace ane::model {

/// A parameter that is baked into a program.
struct WeightBlob {
  std::string path;       ///< as the program names it: "@model_path/weights/attention.wq.bin"
  std::string parameter;  ///< within its layer: "attention.wq.weight"
  bool transposed = false;
};

/// A parameter that lies in the kernel's input, where it stays from update to update.
struct WeightSegment {
  std::string segment;
  std::string parameter;    ///< within its layer
  bool transposed = false;  ///< the segment's channels are the parameter's second dimension
};

/// A tensor that no training changes: masks, tables.
struct ConstantBlob {
  std::string path;
  std::vector<float> values;
};

/// All there is to know about one kind of kernel. Made by a pure function of the model's configuration.
struct KernelDefinition {
  /// Whether a segment of the input holds a weight, not an activation.
  [[nodiscard]] bool is_weight(std::string_view segment) const noexcept;

  std::string name;
  mil::Program program;
  PackedLayout input;
  PackedLayout output;
  std::vector<WeightBlob> weights;
  std::vector<WeightSegment> weight_segments;
  std::vector<ConstantBlob> constants;
};

/// A kernel kind made ready to be compiled with new weights again and again: its text is printed once (equal text is
/// what lets a device keep its plan), its blobs are laid out once and overwritten.
class KernelKind {
 public:
  /// `definition` outlives it.
  KernelKind(const KernelDefinition& definition, mil::DType element);

  [[nodiscard]] const KernelDefinition& definition() const noexcept { return *definition_; }
  [[nodiscard]] bool has_baked_weights() const noexcept { return !definition_->weights.empty(); }

  /// Converts the weights called `prefix` + WeightBlob::parameter in `layout` and compiles. Throws what
  /// Device::compile throws, with the kernel's name in front.
  [[nodiscard]] std::unique_ptr<device::Kernel> compile(device::Device& device, std::string_view prefix,
                                                        const ParameterLayout& layout,
                                                        std::span<const float> parameters, math::ThreadPool& threads);

  /// Bytes of the blobs of one copy.
  [[nodiscard]] std::size_t blob_bytes() const;

 private:
  void pack(std::string_view prefix, const ParameterLayout& layout, std::span<const float> parameters,
            math::ThreadPool& threads);
  void pack(const WeightBlob& weight, std::string_view prefix, const ParameterLayout& layout,
            std::span<const float> parameters);

  const KernelDefinition* definition_;
  mil::DType element_;
  std::string text_;
  mil::Blobs blobs_;
};

}  // namespace ane::model
