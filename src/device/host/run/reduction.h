#pragma once

#include <cstdint>
#include <vector>

#include "ane/mil/ops.h"

#include "lower/view.h"
#include "run/memory.h"

/// Reductions and softmax over the last dimension of a view.
namespace ane::device::host {

/// How a view's last dimension is traversed: `rows` if it is packed in memory, `columns` if another one is, so that
/// runs of adjacent columns are processed at once.
enum class Walk : std::uint8_t { rows, columns };

/// A view [outer.., n] and a result [outer..] or [outer.., n] with the dimensions in traversal order.
class RowsOf {
 public:
  /// Whether the last dimension of `in` is packed, or another one is; if not, it must be copied first.
  [[nodiscard]] static bool fits(const View& in);

  /// `out` has the outer dimensions of `in` in the same memory order, and optionally n.
  RowsOf(const View& in, const View& out);

  [[nodiscard]] Walk walk() const noexcept { return walk_; }
  /// Number of rows, or of runs of at most `columns` adjacent columns.
  [[nodiscard]] std::int64_t parts() const noexcept { return outer_count_ * pieces_; }
  struct Part {
    std::int64_t in = 0;
    std::int64_t out = 0;
    std::size_t columns = 1;
  };
  [[nodiscard]] Part part(std::int64_t index) const;

  /// See region.h.
  [[nodiscard]] bool slice(std::int64_t slices);
  [[nodiscard]] std::vector<Touch> touches();

  Slot in;
  Slot out;
  std::int64_t n = 1;
  std::int64_t in_step = 1;   ///< between elements of the last dimension
  std::int64_t out_step = 0;  ///< the same in a result that has it

 private:
  Walk walk_ = Walk::rows;
  Dims outer_;
  Dims in_strides_;
  Dims out_strides_;
  std::int64_t columns_ = 1;
  std::int64_t outer_count_ = 1;
  std::int64_t pieces_ = 1;
};

/// reduce_*: out[outer..] = scale * fold over n.
class Reduction {
 public:
  Reduction(mil::OpKind kind, const View& in, const View& out, float scale, bool round);
  void run(const RunContext& context) const;
  [[nodiscard]] bool slice(std::int64_t slices) { return rows_.slice(slices); }
  [[nodiscard]] std::vector<Touch> touches() { return rows_.touches(); }

 private:
  void run_parts(const RunContext& context, math::Range range) const;
  void run_row(const RunContext& context, const RowsOf::Part& part) const;
  void run_columns(const RunContext& context, const RowsOf::Part& part) const;

  mil::OpKind kind_;
  RowsOf rows_;
  float scale_;
  bool round_;
};

/// out[outer.., n] = softmax over n.
class Softmax {
 public:
  Softmax(const View& in, const View& out, bool round) : rows_(in, out), round_(round) {}
  void run(const RunContext& context) const;
  [[nodiscard]] bool slice(std::int64_t slices) { return rows_.slice(slices); }
  [[nodiscard]] std::vector<Touch> touches() { return rows_.touches(); }

 private:
  void run_parts(const RunContext& context, math::Range range) const;
  void run_columns(const RunContext& context, const RowsOf::Part& part) const;

  RowsOf rows_;
  bool round_;
};

}  // namespace ane::device::host
