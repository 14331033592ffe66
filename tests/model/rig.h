#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ane/device/host/host_device.h"
#include "ane/math/random.h"
#include "ane/math/threads.h"
#include "ane/model/model.h"
#include "ane/surface/pool.h"

namespace ane::model::test {

/// A host device and the other resources of a model.
struct Rig {
  explicit Rig(int thread_count = 2, std::size_t slots = 1)
      : threads(thread_count),
        device(threads, slots > 1 ? device::host::RunThreads::one : device::host::RunThreads::all),
        context{.device = device, .surfaces = surfaces, .threads = threads, .slots = slots} {}

  math::ThreadPool threads;
  device::host::HostDevice device;
  surface::SurfacePool surfaces{device.surface_allocator()};
  ModelContext context;
};

/// `options` with this packing.
inline KernelOptions packed(Packing packing, KernelOptions options = {mil::DType::fp16, WeightMode::dynamic}) {
  options.packing = packing;
  return options;
}

/// Compiles the kernels of `mode` and gives them `parameters`.
inline void load(Kernels& kernels, PassMode mode, std::span<const float> parameters) {
  kernels.compile(mode, parameters);
  kernels.load_weights(mode, parameters);
}

/// Model::step() of one sample.
inline StepResult step(Model& model, const data::Sample& sample, std::span<const float> parameters, float loss_scale,
                       std::span<float> gradients, StepTimes& times) {
  StepResult result;
  model.step({&sample, 1}, parameters, loss_scale, gradients, {&result, 1}, times);
  return result;
}

/// Model::evaluate() of one sample.
inline StepResult evaluate(Model& model, const data::Sample& sample, std::span<const float> parameters,
                           StepTimes& times) {
  StepResult result;
  model.evaluate({&sample, 1}, parameters, {&result, 1}, times);
  return result;
}

inline std::vector<float> random_values(std::size_t count, double deviation, std::uint64_t stream) {
  std::vector<float> values(count);
  math::fill_normal(math::CounterRandom(1, stream), deviation, values);
  return values;
}

inline double dot(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

/// Frobenius norm of the difference, relative to that of the reference. NaN if any value is.
inline double relative_error(std::span<const float> found, std::span<const float> expected) {
  double difference = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const double d = static_cast<double>(found[i]) - static_cast<double>(expected[i]);
    difference += d * d;
  }
  return std::sqrt(difference / dot(expected, expected));
}

inline double cosine(std::span<const float> a, std::span<const float> b) {
  return dot(a, b) / std::sqrt(dot(a, a) * dot(b, b));
}

}  // namespace ane::model::test
