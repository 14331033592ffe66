#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ane/app/kernel_run.h"
#include "ane/device/device.h"
#include "ane/mil/blob.h"
#include "ane/mil/program.h"

/// Small kernels that check whether a device computes correctly what training needs (ane.md 7.4).
namespace ane::app {

struct DeviceProbe {
  std::string_view name;
  std::string_view setting;  ///< the --rope value that needs this probe; empty: every run needs it
  mil::Program program;      ///< one input, one output
  mil::Blobs weights;
  /// The expected output, computed in double by plain loops that share no code with any device.
  std::vector<double> (*expected)(const TensorValues& input);
};

/// The probes: a gate and a projection; RoPE's rotation by a constant matrix and by slices; a concatenation of six
/// tensors; a softmax over rows.
[[nodiscard]] std::vector<DeviceProbe> device_probes();

/// Result of a probe: largest differences relative to the largest expected magnitude.
struct ProbeResult {
  std::string failure;  ///< the device's error message if the probe did not compile or run
  double from_expected = 0;
  double from_host = 0;
  /// Error bounds of a correct result. Plain arithmetic differs by at most four roundings to 11 bits, a few times 5e-4.
  /// The ANE also approximates: 2e-2 has been measured for its softmax (ane.md N6).
  static constexpr double kRoundedBound = 4e-3;
  static constexpr double kApproximatedBound = 4e-2;
  /// `approximated`: Device::approximates().
  [[nodiscard]] bool right(bool approximated) const {
    const double bound = approximated ? kApproximatedBound : kRoundedBound;
    return failure.empty() && from_expected <= bound && from_host <= bound;  // with `<=`, NaN fails
  }
};

[[nodiscard]] ProbeResult run_probe(const DeviceProbe& probe, device::Device& device, device::Device& host);

}  // namespace ane::app
