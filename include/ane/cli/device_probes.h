#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ane/cli/kernel_run.h"
#include "ane/device/device.h"
#include "ane/mil/blob.h"
#include "ane/mil/program.h"

/// Small kernels that show whether a device computes what training needs (ane.md 7.4).
namespace ane::cli {

struct DeviceProbe {
  std::string_view name;
  std::string_view setting;  ///< the choice of --rope that alone needs it; empty: every run needs it
  mil::Program program;      ///< one input, one output
  mil::Blobs weights;
  /// What the output must be, computed in double by plain loops that share nothing with any device.
  std::vector<double> (*expected)(const TensorValues& input);
};

/// A gate and a projection; pairs turned by a constant matrix and by slices; a concatenation of six; a softmax over
/// rows.
[[nodiscard]] std::vector<DeviceProbe> device_probes();

/// What came of a probe: largest differences relative to the largest magnitude of what was expected.
struct ProbeResult {
  std::string failure;  ///< the device's words, if it did not compile or run
  double from_expected = 0;
  double from_host = 0;
  /// Bounds that a right result keeps. Plain arithmetic differs by at most four roundings to 11 bits, a few times 5e-4.
  /// An ANE also approximates: 2e-2 has been measured for its softmax (ane.md N6).
  static constexpr double kHostBound = 4e-3;
  static constexpr double kAneBound = 4e-2;
  [[nodiscard]] bool right(bool on_ane) const {
    const double bound = on_ane ? kAneBound : kHostBound;
    return failure.empty() && from_expected <= bound && from_host <= bound;  // with `<=` NaN fails
  }
};

[[nodiscard]] ProbeResult run_probe(const DeviceProbe& probe, device::Device& device, device::Device& host);

}  // namespace ane::cli
