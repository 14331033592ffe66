#pragma once

#include <cstdint>
#include <utility>
#include <variant>
#include <vector>

#include "run/elementwise.h"
#include "run/memory.h"
#include "run/product.h"
#include "run/reduction.h"

namespace ane::device::host {

/// Steps that run slice by slice instead of step by step (see form_regions.h). Workers divide the slices among
/// themselves.
class Region {
 public:
  using Part = std::variant<Elementwise, Product, Reduction, Softmax>;

  /// `parts` are the first slices of the steps, in order.
  Region(std::vector<Part> parts, std::int64_t slices, std::int64_t workers)
      : parts_(std::move(parts)), slices_(slices), workers_(workers) {}

  void run(const RunContext& context) const;

 private:
  void run_worker(const RunContext& context, std::int64_t worker) const;

  std::vector<Part> parts_;
  std::int64_t slices_;
  std::int64_t workers_;
};

}  // namespace ane::device::host
