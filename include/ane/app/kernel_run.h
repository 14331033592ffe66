#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ane/device/device.h"
#include "ane/mil/blob.h"

/// Runs a single kernel on seeded random inputs.
namespace ane::app {

/// A tensor's elements in row-major order, without the padding of surfaces.
struct TensorValues {
  std::string name;
  mil::TensorType type;
  std::vector<double> values;
  std::uint64_t checksum = 0;  ///< FNV-1a of the elements' bytes
};

struct KernelRun {
  std::vector<TensorValues> inputs;
  std::vector<TensorValues> outputs;
  std::vector<std::chrono::nanoseconds> times;  ///< one per run
};

/// Compiles `mil_text` on `device` and runs it `runs` times. Floats are standard normal, integers and bools 0 or 1 (so
/// that they can be indices), all derived from `seed` and the input's position. Propagates the device's exceptions.
[[nodiscard]] KernelRun run_kernel(device::Device& device, std::string_view mil_text, const mil::Blobs& weights,
                                   std::uint64_t seed, int runs);

/// The largest absolute difference (NaN if exactly one of two elements is NaN) and the largest magnitude of `a`.
struct Difference {
  double largest = 0;
  double scale = 0;
};
[[nodiscard]] Difference compare(const TensorValues& a, const TensorValues& b);

}  // namespace ane::app
