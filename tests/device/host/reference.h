#pragma once

#include <map>
#include <vector>

#include "ane/mil/blob.h"
#include "ane/mil/op_view.h"
#include "ane/mil/program.h"
#include "ane/mil/types.h"

/// A slow, easily verifiable interpreter of MIL: one function per operation, index loops, double precision, each result
/// rounded to its type. The host device is compared with it.
namespace ane::device::host::reference {

/// Row-major. Integers and bool (0 or 1) are exact in double.
struct Tensor {
  mil::TensorType type;
  std::vector<double> data;
};

/// Rounds to the nearest value of `dtype`.
[[nodiscard]] double round_to(mil::DType dtype, double value);

using Values = std::map<mil::ValueId, Tensor>;

/// The results of one operation. `values` contains the function's inputs and the results of previous operations.
[[nodiscard]] std::vector<Tensor> evaluate(const mil::OpView& op, const Values& values, const mil::Blobs& blobs);

/// The outputs of `function`.
[[nodiscard]] std::vector<Tensor> interpret(const mil::Function& function, const mil::Blobs& blobs,
                                            const std::vector<Tensor>& inputs);

}  // namespace ane::device::host::reference
