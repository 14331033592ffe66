#include "harness.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "ane/math/half.h"
#include "ane/mil/text.h"
#include "ane/surface/pool.h"

#include "support/catch.h"

namespace ane::device::host {
namespace {

using mil::DType;

template <class T>
void put(std::byte* to, T value) {
  std::memcpy(to, &value, sizeof(T));
}

template <class T>
double get(const std::byte* from) {
  T value{};
  std::memcpy(&value, from, sizeof(T));
  return static_cast<double>(value);
}

void write_element(DType dtype, double value, std::byte* to) {
  switch (dtype) {
    case DType::fp16:
      return put(to, math::to_half(static_cast<float>(value)));
    case DType::fp32:
      return put(to, static_cast<float>(value));
    case DType::int8:
      return put(to, static_cast<std::int8_t>(value));
    case DType::int16:
      return put(to, static_cast<std::int16_t>(value));
    case DType::uint16:
      return put(to, static_cast<std::uint16_t>(value));
    case DType::int32:
      return put(to, static_cast<std::int32_t>(value));
    default:
      return put(to, static_cast<std::uint8_t>(value));
  }
}

double read_element(DType dtype, const std::byte* from) {
  switch (dtype) {
    case DType::fp16: {
      math::Half half{};
      std::memcpy(&half, from, sizeof(half));
      return math::to_float(half);
    }
    case DType::fp32:
      return get<float>(from);
    case DType::int8:
      return get<std::int8_t>(from);
    case DType::int16:
      return get<std::int16_t>(from);
    case DType::uint16:
      return get<std::uint16_t>(from);
    case DType::int32:
      return get<std::int32_t>(from);
    default:
      return get<std::uint8_t>(from);
  }
}

template <class Visit>
void for_each_in_surface(const mil::TensorType& type, Visit visit) {
  const mil::SurfaceLayout layout = mil::surface_layout(type);
  for (std::size_t row = 0; row < layout.rows; ++row) {
    for (std::size_t i = 0; i < layout.row_elements; ++i) {
      visit(row * layout.row_elements + i, row * layout.row_bytes + i * mil::element_bytes(type.dtype));
    }
  }
}

double largest(const reference::Tensor& tensor) {
  double most = 0;
  for (const double value : tensor.data) most = std::max(most, std::abs(value));
  return most;
}

void check_close(const reference::Tensor& found, const reference::Tensor& expected, double tolerance) {
  REQUIRE(found.type == expected.type);
  REQUIRE(found.data.size() == expected.data.size());
  const double bound = mil::is_float(expected.type.dtype) ? tolerance * largest(expected) : 0;
  double worst = 0;
  std::size_t where = 0;
  for (std::size_t i = 0; i < found.data.size(); ++i) {
    const double error = std::abs(found.data[i] - expected.data[i]);
    if (error <= worst) continue;  // false for NaN, which then is the worst
    if (found.data[i] == expected.data[i]) continue;
    worst = error;
    where = i;
    if (std::isnan(error)) break;
  }
  CAPTURE(where, found.data[where], expected.data[where], mil::to_string(found.type));
  CHECK(worst <= bound);
}

}  // namespace

reference::Tensor random_tensor(const mil::TensorType& type, std::mt19937& random, double scale) {
  reference::Tensor tensor{type, {}};
  std::normal_distribution<double> normal(0, scale);
  std::uniform_int_distribution<int> small(0, 3);
  for (std::int64_t i = 0; i < mil::element_count(type.shape); ++i) {
    if (mil::is_float(type.dtype)) {
      tensor.data.push_back(reference::round_to(type.dtype, normal(random)));
    } else {
      tensor.data.push_back(type.dtype == DType::boolean ? small(random) % 2 : small(random));
    }
  }
  return tensor;
}

std::vector<reference::Tensor> run(HostDevice& device, const mil::Program& program, const mil::Blobs& blobs,
                                   const std::vector<reference::Tensor>& inputs) {
  const auto kernel = device.compile("kernel", mil::print(program), blobs);
  surface::SurfacePool pool(device.surface_allocator());
  std::vector<surface::Surface> surfaces;
  std::vector<reference::Tensor> results;
  for (const Port& port : kernel->inputs()) surfaces.push_back(pool.acquire(port.size_bytes));
  for (const Port& port : kernel->outputs()) {
    surfaces.push_back(pool.acquire(port.size_bytes));
    std::ranges::fill(surfaces.back().map_for_write().bytes(), std::byte{0xFF});
  }
  std::vector<surface::Surface*> in;
  std::vector<surface::Surface*> out;
  for (std::size_t i = 0; i < surfaces.size(); ++i) {
    (i < kernel->inputs().size() ? in : out).push_back(&surfaces[i]);
  }
  REQUIRE(in.size() == inputs.size());
  for (std::size_t i = 0; i < in.size(); ++i) {
    REQUIRE(kernel->inputs()[i].type == inputs[i].type);
    const auto bytes = in[i]->map_for_write();
    for_each_in_surface(inputs[i].type, [&](std::size_t element, std::size_t byte) {
      write_element(inputs[i].type.dtype, inputs[i].data[element], bytes.bytes().data() + byte);
    });
  }
  kernel->run(in, out);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const mil::TensorType& type = kernel->outputs()[i].type;
    reference::Tensor& result = results.emplace_back(reference::Tensor{type, {}});
    const auto bytes = out[i]->map_for_read();
    for_each_in_surface(type, [&](std::size_t, std::size_t byte) {
      result.data.push_back(read_element(type.dtype, bytes.bytes().data() + byte));
    });
  }
  return results;
}

void check_against_reference(const mil::Program& program, std::uint32_t seed, double tolerance, const mil::Blobs& blobs,
                             double scale) {
  std::mt19937 random(seed);
  const mil::Function& function = program.main();
  std::vector<reference::Tensor> inputs;
  for (const mil::ValueId input : function.inputs) {
    inputs.push_back(random_tensor(function.value(input).type, random, scale));
  }
  const std::vector<reference::Tensor> expected = reference::interpret(function, blobs, inputs);
  for (const int threads : {1, 2}) {
    math::ThreadPool pool(threads);
    HostDevice device(pool);
    const std::vector<reference::Tensor> found = run(device, program, blobs, inputs);
    REQUIRE(found.size() == expected.size());
    INFO(mil::print(program));
    for (std::size_t i = 0; i < found.size(); ++i) check_close(found[i], expected[i], tolerance);
  }
}

double tolerance_of(DType dtype) { return dtype == DType::fp16 ? 0x1p-10 : 1e-5; }

std::vector<std::byte> blob_file(const reference::Tensor& tensor) {
  const std::size_t size = mil::element_bytes(tensor.type.dtype);
  std::vector<std::byte> data(tensor.data.size() * size);
  for (std::size_t i = 0; i < tensor.data.size(); ++i) {
    write_element(tensor.type.dtype, tensor.data[i], data.data() + i * size);
  }
  mil::BlobWriter writer;
  writer.add(tensor.type.dtype, data);
  return std::move(writer).finish();
}

mil::Argument arg(std::string_view name, mil::Var value) {
  return {std::string(name), {mil::Operand(value.id)}, false};
}

mil::Argument arg(std::string_view name, const std::vector<mil::Var>& values) {
  mil::Argument argument{std::string(name), {}, true};
  for (const mil::Var value : values) argument.operands.emplace_back(value.id);
  return argument;
}

}  // namespace ane::device::host
