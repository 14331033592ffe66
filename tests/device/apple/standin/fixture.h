#pragma once

#include <cstddef>
#include <cstring>
#include <filesystem>
#include <functional>
#include <iterator>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "ane/core/error.h"
#include "ane/device/apple/ane_device.h"
#include "ane/device/host/host_device.h"
#include "ane/math/half.h"
#include "ane/mil/builder.h"
#include "ane/mil/text.h"
#include "ane/surface/pool.h"

#include "fakes/standin.h"
#include "objc.h"
#include "support/catch.h"

/// Programs for the stand-in framework, and control of it.
namespace ane::device::apple {

/// The stand-in framework in the state of a new process.
inline fakes::Control& fresh_standin() {
  static const objc::Library library(standard_libraries().neural_engine);
  REQUIRE(library);
  static fakes::Control* const control =
      reinterpret_cast<fakes::ControlFunction*>(library.find(fakes::kControlFunction))();
  control->reset();
  return *control;
}

/// The message of the Error that `body` throws; empty if it throws none.
inline std::string message_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

struct Sample {
  std::string text;
  mil::Blobs weights;
};

using Buffer = std::vector<std::byte>;

inline Buffer random_halves(std::size_t count, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Buffer bytes(count * sizeof(math::Half));
  for (std::size_t i = 0; i < count; ++i) {
    const math::Half half = math::to_half(normal(random));
    std::memcpy(bytes.data() + i * sizeof(half), &half, sizeof(half));
  }
  return bytes;
}

/// y = W x and its gate, without breaking rules: one input, one output.
inline Sample projection(std::uint32_t seed = 1) {
  mil::Builder b(mil::DType::fp16);
  const mil::Var x = b.input("pack", {1, 64, 1, 32});
  const mil::Var y = b.conv1x1("proj", x, b.blob("w", {32, 64, 1, 1}, "@model_path/weights/w.bin"));
  const std::vector<mil::Var> parts{y, b.sigmoid("gate", y)};
  const mil::Var out = b.concat("out", parts, 1);
  Sample sample{mil::print(std::move(b).finish(std::vector{out})), {}};
  const Buffer values = random_halves(32 * 64, seed);
  const std::span<std::byte> place =
      mil::single_blob(mil::DType::fp16, values.size(), sample.weights["@model_path/weights/w.bin"]);
  std::copy(values.begin(), values.end(), place.begin());
  return sample;
}

/// Inputs and outputs of different sizes whose written order is not that of their names; no weights.
inline Sample unsorted() {
  mil::Builder b(mil::DType::fp16);
  const mil::Var tall = b.input("tall", {1, 64, 1, 32});
  const mil::Var bias = b.input("bias", {1, 1, 1, 32});
  const mil::Var whole = b.add("whole", tall, bias);
  const mil::Var first = b.slice("first", whole, {0, 0, 0, 0}, {1, 32, 1, 32});
  const mil::Var scaled = b.mul("scaled", first, first);
  return {mil::print(std::move(b).finish(std::vector{whole, scaled})), {}};
}

inline std::vector<surface::Surface*> pointers(std::vector<surface::Surface>& surfaces) {
  std::vector<surface::Surface*> pointers;
  for (surface::Surface& surface : surfaces) pointers.push_back(&surface);
  return pointers;
}

/// Surfaces of a kernel's inputs, with random contents, and of its outputs.
struct Bound {
  Bound(surface::SurfacePool& pool, const Kernel& kernel, std::uint32_t seed) {
    for (const Port& port : kernel.inputs()) {
      inputs.push_back(pool.acquire(port.size_bytes));
      const Buffer values = random_halves(port.size_bytes / sizeof(math::Half), seed++);
      const auto mapping = inputs.back().map_for_write();
      std::copy(values.begin(), values.end(), mapping.bytes().begin());
    }
    for (const Port& port : kernel.outputs()) outputs.push_back(pool.acquire(port.size_bytes));
  }

  void run(Kernel& kernel) { kernel.run(pointers(inputs), pointers(outputs)); }
  [[nodiscard]] std::vector<Buffer> results() const {
    std::vector<Buffer> results;
    for (const surface::Surface& output : outputs) {
      const auto mapping = output.map_for_read();
      results.emplace_back(mapping.bytes().begin(), mapping.bytes().end());
    }
    return results;
  }

  std::vector<surface::Surface> inputs;
  std::vector<surface::Surface> outputs;
};

/// Results of `device` for random inputs.
inline std::vector<Buffer> run(Device& device, const Sample& sample, std::uint32_t seed) {
  surface::SurfacePool pool(device.surface_allocator());
  const auto kernel = device.compile("kernel", sample.text, sample.weights);
  Bound bound(pool, *kernel, seed);
  bound.run(*kernel);
  return bound.results();
}

inline std::ptrdiff_t open_files() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), std::filesystem::directory_iterator());
}

}  // namespace ane::device::apple
