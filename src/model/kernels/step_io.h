#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "ane/model/kernel_bank.h"
#include "ane/model/model.h"
#include "ane/model/packed_layout.h"
#include "ane/surface/surface.h"

namespace ane::model {

/// The input or output of one layer's kernel, from the pool or the bank.
struct PackedSurface {
  std::size_t row = 0;  ///< of the plan
  std::size_t layer = 0;
  const PackedLayout* layout = nullptr;  ///< of the kernel's input or output
  surface::Surface own;
  surface::Surface* shared = nullptr;  ///< of the bank; used instead of `own`
  std::uint64_t checked = 0;           ///< bit mask of the output segments whose magnitudes have been checked

  [[nodiscard]] surface::Surface& surface() noexcept { return shared != nullptr ? *shared : own; }
  [[nodiscard]] const surface::Surface& surface() const noexcept { return shared != nullptr ? *shared : own; }
};

/// Runs kernels for one step: acquires surfaces, moves data in and out, measures time and checks magnitudes. Data are
/// checked while they are read or copied, so that each byte is touched once.
class StepIo {
 public:
  StepIo(KernelBank& bank, const ModelContext& context, std::size_t slot, StepTimes& times)
      : bank_(&bank), context_(&context), limits_(context.device.limits()), slot_(slot), times_(&times) {}

  /// An input for the layer's kernel of a plan row. All of its activations must be written before the run.
  [[nodiscard]] PackedSurface input_of(std::size_t row, std::size_t layer);
  /// Runs the kernel of `input` and returns its output.
  [[nodiscard]] PackedSurface run(PackedSurface& input);

  /// Convert from and to fp32 [channels, S]. Read values are added to `base`, if there is one.
  void write(PackedSurface& to, std::string_view segment, std::span<const float> values);
  void read(PackedSurface& from, std::string_view segment, std::span<const float> base, std::span<float> values);
  /// Copies a segment unchanged from an output to an input with a segment of that name.
  void copy(PackedSurface& from, std::string_view segment, PackedSurface& to);
  /// Checks the segments of an output that have not been read or copied.
  void check_rest(PackedSurface& output);

  /// Records an overflow if `loss` is not finite.
  void check_loss(double loss);
  /// Description of the first overflow.
  [[nodiscard]] const std::optional<std::string>& overflow() const noexcept { return overflow_; }

 private:
  [[nodiscard]] const PlannedKernel& planned(const PackedSurface& packed) const {
    return bank_->plan().kernels()[packed.row];
  }
  /// The magnitude from which on an element counts as an overflow.
  [[nodiscard]] float magnitude_limit(mil::DType element, Phase phase) const;
  void check(PackedSurface& owner, const Segment& segment, float magnitude);

  KernelBank* bank_;
  const ModelContext* context_;
  device::DeviceLimits limits_;
  std::size_t slot_;
  StepTimes* times_;
  std::optional<std::string> overflow_;
};

}  // namespace ane::model
