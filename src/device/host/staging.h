#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "ane/math/threads.h"
#include "ane/surface/surface.h"

#include "aligned_bytes.h"
#include "memory.h"
#include "view.h"

/// Matrices that lie in an input surface beside others, such as weights beside activations: products read fp32 copies
/// of them, which are kept with the surface while its owner says that they have not changed.
namespace ane::device::host {

/// Copies a matrix from a surface, converted on the way.
class StagedCopy {
 public:
  /// Whether `view` of an input surface is a matrix with a gap after each row, as one that lies beside others has.
  [[nodiscard]] static bool fits(const View& view);

  /// `from` fits, and has elements of `storage`, fp16 or fp32; `to` is packed, its dimensions in the same order or
  /// turned, as products read it best.
  StagedCopy(const View& from, const View& to, mil::DType storage, std::size_t input);

  void run(const RunContext& context) const;
  [[nodiscard]] std::size_t input() const noexcept { return input_; }
  [[nodiscard]] BufferId target() const noexcept { return to_.buffer; }
  /// Whether the owner promises that the elements change with the revision alone.
  [[nodiscard]] bool is_resident(const surface::Resident& resident) const noexcept;
  [[nodiscard]] std::size_t size_bytes() const noexcept { return rows_ * columns_ * sizeof(float); }

 private:
  void run_rows(const RunContext& context, math::Range range) const;
  void run_rows_turned(const RunContext& context, math::Range range) const;
  /// The elements of a row from `column` on, as many as `to` has.
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

/// What a surface's resident matrices are in fp32.
class StagedMatrices final : public surface::Attachment {
 public:
  /// `owner`: of the places in `bytes`.
  StagedMatrices(std::shared_ptr<const void> owner, std::size_t size_bytes)
      : owner_(std::move(owner)), bytes_(size_bytes) {}

  [[nodiscard]] bool belongs_to(const void* owner) const noexcept { return owner_.get() == owner; }
  [[nodiscard]] std::byte* data() noexcept { return bytes_.data(); }

  std::optional<surface::Resident> made_of;  ///< what was promised of what was copied; none before the first run

 private:
  std::shared_ptr<const void> owner_;
  AlignedBytes bytes_;
};

}  // namespace ane::device::host
