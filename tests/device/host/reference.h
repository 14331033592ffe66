#pragma once

#include <map>
#include <vector>

#include "ane/mil/blob.h"
#include "ane/mil/op_view.h"
#include "ane/mil/program.h"
#include "ane/mil/types.h"

/// A slow interpreter of MIL that can be checked by reading: one function an operation, index loops, double precision,
/// each result rounded to its type. The executor is compared with it.
namespace ane::device::host::reference {

/// Row-major. Integers and bool (0 or 1) are exact in double.
struct Tensor {
  mil::TensorType type;
  std::vector<double> data;
};

/// The nearest value that `dtype` can hold.
[[nodiscard]] double round_to(mil::DType dtype, double value);

using Values = std::map<mil::ValueId, Tensor>;

/// The results of one operation. `values` holds those of the operations before it and the function's inputs.
[[nodiscard]] std::vector<Tensor> evaluate(const mil::OpView& op, const Values& values, const mil::Blobs& blobs);

/// The outputs of `function`.
[[nodiscard]] std::vector<Tensor> interpret(const mil::Function& function, const mil::Blobs& blobs,
                                            const std::vector<Tensor>& inputs);

}  // namespace ane::device::host::reference
