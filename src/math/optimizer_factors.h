#pragma once

namespace ane::math {

/// Factors of an AdamW update.
struct AdamWFactors {
  float gradient;
  float decay;  ///< 1 - lr * weight_decay
  float beta1;
  float one_minus_beta1;
  float beta2;
  float one_minus_beta2;
  float step;             ///< lr / (1 - beta1^t)
  float root_correction;  ///< 1 / sqrt(1 - beta2^t)
  float eps;
};

/// Factors of a Lion update.
struct LionFactors {
  float gradient;
  float decay;  ///< 1 - lr * weight_decay
  float beta1;
  float one_minus_beta1;
  float beta2;
  float one_minus_beta2;
  float lr;
};

/// Factors of Nesterov momentum.
struct NesterovFactors {
  float gradient;  ///< (1 - momentum) * grad_factor
  float momentum;
};

}  // namespace ane::math
