#pragma once

#include "ane/mil/ops.h"
#include "ane/mil/types.h"

namespace ane::device::host {

/// One operation on registers. A register holds a block of fp32 or int32 elements (bool: 0 or 1).
struct MicroOp {
  mil::OpKind kind = mil::OpKind::identity;
  bool integer = false;              ///< the operands are int32
  bool round = false;                ///< the result is rounded to fp16
  float alpha = 0;                   ///< alpha of clip and leaky_relu, epsilon of log, rsqrt and inverse, mode of gelu
  float beta = 0;                    ///< of clip
  mil::DType to = mil::DType::fp32;  ///< of cast
};

/// The mode of gelu in MicroOp::alpha.
inline constexpr float kGeluExact = 0;
inline constexpr float kGeluTanh = 1;
inline constexpr float kGeluSigmoid = 2;

}  // namespace ane::device::host
