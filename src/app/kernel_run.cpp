#include "ane/app/kernel_run.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>

#include "ane/cli/text.h"
#include "ane/math/half.h"
#include "ane/math/random.h"
#include "ane/surface/pool.h"

namespace ane::app {
namespace {

template <class T>
void store(double value, std::byte* to) {
  const T element = static_cast<T>(value);
  std::memcpy(to, &element, sizeof element);
}

void store_element(mil::DType dtype, double value, std::byte* to) {
  switch (dtype) {
    case mil::DType::fp16:
      return store<math::Half>(math::to_half(static_cast<float>(value)), to);
    case mil::DType::fp32:
      return store<float>(value, to);
    case mil::DType::int16:
    case mil::DType::uint16:
      return store<std::uint16_t>(value, to);
    case mil::DType::int32:
    case mil::DType::uint32:
      return store<std::uint32_t>(value, to);
    case mil::DType::int64:
    case mil::DType::uint64:
      return store<std::uint64_t>(value, to);
    default:
      return store<std::uint8_t>(value, to);
  }
}

template <class T>
double load(const std::byte* from) {
  T element{};
  std::memcpy(&element, from, sizeof element);
  return static_cast<double>(element);
}

double load_element(mil::DType dtype, const std::byte* from) {
  switch (dtype) {
    case mil::DType::fp16:
      return math::to_float(static_cast<math::Half>(load<math::Half>(from)));
    case mil::DType::fp32:
      return load<float>(from);
    case mil::DType::int8:
      return load<std::int8_t>(from);
    case mil::DType::int16:
      return load<std::int16_t>(from);
    case mil::DType::uint16:
      return load<std::uint16_t>(from);
    case mil::DType::int32:
      return load<std::int32_t>(from);
    case mil::DType::uint32:
      return load<std::uint32_t>(from);
    case mil::DType::int64:
      return load<std::int64_t>(from);
    case mil::DType::uint64:
      return load<std::uint64_t>(from);
    default:
      return load<std::uint8_t>(from);
  }
}

void fill_randomly(const device::Port& port, const math::CounterRandom& random, surface::Surface& surface) {
  const mil::SurfaceLayout layout = mil::surface_layout(port.type);
  const std::size_t width = mil::element_bytes(port.type.dtype);
  const auto mapping = surface.map_for_write();
  std::fill(mapping.bytes().begin(), mapping.bytes().end(), std::byte{0});
  std::uint64_t index = 0;
  for (std::size_t row = 0; row < layout.rows; ++row) {
    std::byte* const to = mapping.bytes().data() + row * layout.row_bytes;
    for (std::size_t i = 0; i < layout.row_elements; ++i, ++index) {
      const double value =
          mil::is_float(port.type.dtype) ? random.normal(index) : static_cast<double>(random.below(2, index));
      store_element(port.type.dtype, value, to + i * width);
    }
  }
}

TensorValues read_tensor(const device::Port& port, const surface::Surface& surface) {
  const mil::SurfaceLayout layout = mil::surface_layout(port.type);
  const std::size_t width = mil::element_bytes(port.type.dtype);
  const auto mapping = surface.map_for_read();
  TensorValues tensor{port.name, port.type, {}, 0};
  std::vector<std::byte> packed;
  for (std::size_t row = 0; row < layout.rows; ++row) {
    const auto bytes = mapping.bytes().subspan(row * layout.row_bytes, layout.row_elements * width);
    packed.insert(packed.end(), bytes.begin(), bytes.end());
  }
  for (std::size_t at = 0; at < packed.size(); at += width) {
    tensor.values.push_back(load_element(port.type.dtype, packed.data() + at));
  }
  tensor.checksum = cli::fnv1a(packed);
  return tensor;
}

std::vector<surface::Surface*> pointers(std::vector<surface::Surface>& surfaces) {
  std::vector<surface::Surface*> result;
  result.reserve(surfaces.size());
  for (surface::Surface& surface : surfaces) result.push_back(&surface);
  return result;
}

}  // namespace

KernelRun run_kernel(device::Device& device, std::string_view mil_text, const mil::Blobs& weights, std::uint64_t seed,
                     int runs) {
  surface::SurfacePool pool(device.surface_allocator());
  const std::unique_ptr<device::Kernel> kernel = device.compile("kernel", mil_text, weights);
  std::vector<surface::Surface> inputs;
  for (const device::Port& port : kernel->inputs()) {
    inputs.push_back(pool.acquire(port.size_bytes));
    fill_randomly(port, math::CounterRandom(seed, inputs.size()), inputs.back());
  }
  std::vector<surface::Surface> outputs;
  for (const device::Port& port : kernel->outputs()) outputs.push_back(pool.acquire(port.size_bytes));

  KernelRun result;
  for (int run = 0; run < runs; ++run) {
    const auto begin = std::chrono::steady_clock::now();
    kernel->run(pointers(inputs), pointers(outputs));
    result.times.push_back(std::chrono::steady_clock::now() - begin);
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    result.inputs.push_back(read_tensor(kernel->inputs()[i], inputs[i]));
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    result.outputs.push_back(read_tensor(kernel->outputs()[i], outputs[i]));
  }
  return result;
}

Difference compare(const TensorValues& a, const TensorValues& b) {
  assert(a.values.size() == b.values.size());
  Difference difference;
  for (std::size_t i = 0; i < a.values.size(); ++i) {
    const double x = a.values[i];
    const double y = b.values[i];
    if (std::isfinite(x)) difference.scale = std::max(difference.scale, std::abs(x));
    if (x == y || (std::isnan(x) && std::isnan(y))) continue;
    const double apart = std::abs(x - y);
    if (std::isnan(apart)) return {std::numeric_limits<double>::quiet_NaN(), difference.scale};
    difference.largest = std::max(difference.largest, apart);
  }
  return difference;
}

}  // namespace ane::app
