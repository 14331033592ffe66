#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "ane/math/threads.h"
#include "ane/surface/surface.h"

#include "lower/view.h"
#include "run/aligned_bytes.h"
#include "run/memory.h"

/// Matrices that are part of an input surface, such as weights beside or below activations: products read fp32 copies
/// of them, which are kept with the surface while its owner declares them unchanged.
namespace ane::device::host {

/// Copies a matrix from a surface and converts it.
class StagedCopy {
 public:
  /// Whether `view` of an input surface is a matrix whose rows lie one after the other.
  [[nodiscard]] static bool fits(const View& view);
  /// Whether there is a gap after each row of a view that fits, because other data share the rows.
  [[nodiscard]] static bool has_gaps(const View& view);

  /// `from` must fit and have elements of type `storage`, fp16 or fp32; `to` is packed, in the same order or
  /// transposed, whichever products prefer.
  StagedCopy(const View& from, const View& to, mil::DType storage, std::size_t input);

  void run(const RunContext& context) const;
  [[nodiscard]] std::size_t input() const noexcept { return input_; }
  [[nodiscard]] BufferId target() const noexcept { return to_.buffer; }
  /// Whether the owner promises that the elements change only with the revision.
  [[nodiscard]] bool is_resident(const surface::Resident& resident) const noexcept;
  [[nodiscard]] std::size_t size_bytes() const noexcept { return rows_ * columns_ * sizeof(float); }

 private:
  void run_rows(const RunContext& context, math::Range range) const;
  void run_rows_turned(const RunContext& context, math::Range range) const;
  /// Converts elements of a row from `column` on to fill `to`.
  void convert(const RunContext& context, std::size_t row, std::size_t column, std::span<float> to) const;

  Slot from_;
  Slot to_;
  std::size_t input_;
  mil::DType storage_;
  std::size_t rows_ = 0;
  std::size_t columns_ = 0;
  std::size_t pitch_ = 0;  ///< elements
  bool turned_ = false;    ///< columns of `from` are rows of `to`
};

/// fp32 copies of a surface's resident matrices.
class StagedMatrices final : public surface::Attachment {
 public:
  /// `owner`: keeps the layout of `bytes` alive.
  StagedMatrices(std::shared_ptr<const void> owner, std::size_t size_bytes)
      : owner_(std::move(owner)), bytes_(size_bytes) {}

  [[nodiscard]] bool belongs_to(const void* owner) const noexcept { return owner_.get() == owner; }
  [[nodiscard]] std::byte* data() noexcept { return bytes_.data(); }

  std::optional<surface::Resident> made_of;  ///< promise under which the copies were made; none before the first run

 private:
  std::shared_ptr<const void> owner_;
  AlignedBytes bytes_;
};

}  // namespace ane::device::host
