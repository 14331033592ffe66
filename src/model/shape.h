#pragma once

#include <cstddef>
#include <initializer_list>

#include "ane/mil/types.h"

namespace ane::model {

/// Converts std::size_t dimensions to a MIL shape. All are far below 2^63 (check(ModelConfig)).
[[nodiscard]] inline mil::Shape shape_of(std::initializer_list<std::size_t> extents) {
  mil::Shape shape;
  shape.reserve(extents.size());
  for (const std::size_t extent : extents) shape.push_back(static_cast<std::int64_t>(extent));
  return shape;
}

}  // namespace ane::model
