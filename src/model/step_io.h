#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "ane/model/kernel_bank.h"
#include "ane/model/model.h"
#include "ane/model/packed_layout.h"
#include "ane/surface/surface.h"

namespace ane::model {

/// The input or output of one layer's kernel, on loan from the pool.
struct PackedSurface {
  std::size_t row = 0;  ///< of the plan
  std::size_t layer = 0;
  const PackedLayout* layout = nullptr;  ///< of the kernel's input or output
  surface::Surface surface;
};

/// Runs kernels for one step: acquires surfaces, moves data in and out, keeps the time and watches magnitudes.
class StepIo {
 public:
  StepIo(const KernelBank& bank, const Engine& engine, StepTimes& times)
      : bank_(&bank), engine_(&engine), times_(&times) {}

  /// An input for the layer's kernel of a row. All of its segments must be written before it runs.
  [[nodiscard]] PackedSurface input_of(std::size_t row, std::size_t layer);
  /// Runs the kernel that `input` is for, and checks all of its output.
  [[nodiscard]] PackedSurface run(PackedSurface& input);

  /// Checks and converts fp32 [channels, S].
  void write(PackedSurface& to, std::string_view segment, std::span<const float> values);
  void read(const PackedSurface& from, std::string_view segment, std::span<float> values);
  /// Takes a segment over as it is, from an output to an input that has a segment of that name.
  void copy(const PackedSurface& from, std::string_view segment, PackedSurface& to);

  /// Notes an overflow if `loss` is not finite.
  void check_loss(double loss);
  /// The first overflow, in words.
  [[nodiscard]] const std::optional<std::string>& overflow() const noexcept { return overflow_; }

 private:
  [[nodiscard]] const PlannedKernel& planned(const PackedSurface& packed) const {
    return bank_->plan().kernels()[packed.row];
  }
  void check(const PackedSurface& owner, std::string_view segment, float magnitude);
  void check_all(const PackedSurface& output);

  const KernelBank* bank_;
  const Engine* engine_;
  StepTimes* times_;
  std::optional<std::string> overflow_;
};

}  // namespace ane::model
