#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "ane/math/half.h"
#include "ane/mil/text.h"
#include "ane/surface/pool.h"

#include "harness.h"
#include "staged_programs.h"
#include "support/catch.h"

// Weights in the input, beside or below the activations.
namespace ane::device::host {
namespace {

using mil::DType;
using mil::Var;
using surface::Surface;

TEST_CASE("a product with columns of the input agrees with the reference", "[device][host][staging]") {
  for (const DType element : {DType::fp16, DType::fp32})
    check_against_reference(product_of_columns(element), 1, tolerance_of(element));
}

/// One kernel and its input, in fp32 so that bytes are values.
struct Rig {
  Rig() { fill(0, kWidth, 1); }

  /// Overwrites columns [begin, end) of every row.
  void fill(std::int64_t begin, std::int64_t end, std::uint32_t seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    const auto mapping = input.map_for_write();
    const auto values = mapping.as<float>();
    for (std::int64_t row = 0; row < kChannels; ++row)
      for (std::int64_t column = begin; column < end; ++column)
        values[static_cast<std::size_t>(row * kWidth + column)] = normal(random);
  }
  void set_activations(std::uint32_t seed) { fill(0, kColumns, seed); }
  void set_weights(std::uint32_t seed) { fill(kColumns, kWidth, seed); }
  void promise(std::uint64_t revision, std::size_t begin = kColumns * sizeof(float)) {
    input.set_resident({kWidth * sizeof(float), begin, revision});
  }

  std::vector<float> run() {
    const std::array<Surface*, 1> in{&input};
    const std::array<Surface*, 1> out{&output};
    kernel->run(in, out);
    const auto mapping = output.map_for_read();
    const auto values = mapping.as<float>();
    return {values.begin(), values.end()};
  }
  /// The result of a device that caches nothing.
  std::vector<float> expected() {
    const auto mapping = input.map_for_read();
    Surface copy = pool.acquire(input.size_bytes());
    std::ranges::copy(mapping.bytes(), copy.map_for_write().bytes().begin());
    std::swap(copy, input);
    std::vector<float> result = run();
    std::swap(copy, input);
    return result;
  }

  math::ThreadPool threads{2};
  HostDevice device{threads};
  surface::SurfacePool pool{device.surface_allocator()};
  std::unique_ptr<Kernel> kernel = device.compile("kernel", mil::print(product_of_columns(DType::fp32)), {});
  Surface input = pool.acquire(kChannels * kWidth * sizeof(float));
  Surface output = pool.acquire(kOut * kColumns * sizeof(float));
};

TEST_CASE("resident columns are read again when their revision changes, others always", "[device][host][staging]") {
  Rig rig;
  rig.promise(1);
  CHECK(rig.run() == rig.expected());
  rig.set_activations(2);
  CHECK(rig.run() == rig.expected());
  rig.set_weights(3);
  rig.promise(2);
  CHECK(rig.run() == rig.expected());
  CHECK(rig.run() == rig.expected());
}

TEST_CASE("resident columns are cached, and poisoned builds detect a broken promise", "[device][host][staging]") {
  Rig rig;
  rig.promise(1);
  const std::vector<float> before = rig.run();
  rig.set_weights(3);
#ifdef ANE_POISON
  CHECK_THROWS_WITH(rig.run(), ANE_CONTAINS("a resident part of input 'pack' changed without a new revision"));
#else
  CHECK(rig.run() == before);
#endif
}

TEST_CASE("columns that are not completely resident are not cached", "[device][host][staging]") {
  Rig rig;
  rig.promise(1, (kColumns + 1) * sizeof(float));
  static_cast<void>(rig.run());
  rig.set_weights(3);
  CHECK(rig.run() == rig.expected());
}

TEST_CASE("nothing is cached for a surface that was released to its pool", "[device][host][staging]") {
  Rig rig;
  rig.promise(1);
  static_cast<void>(rig.run());
  rig.input = Surface();
  rig.input = rig.pool.acquire(kChannels * kWidth * sizeof(float));
  REQUIRE(rig.pool.counters().reused > 0);
  rig.fill(0, kWidth, 5);
  rig.promise(1);
  CHECK(rig.run() == rig.expected());
}

TEST_CASE("a product with rows of the input agrees with the reference", "[device][host][staging]") {
  const std::int64_t out = GENERATE(as<std::int64_t>{}, 64, 18, 32);
  for (const DType element : {DType::fp16, DType::fp32})
    check_against_reference(product_of_rows(element, out), 1, tolerance_of(element));
}

TEST_CASE("resident rows are cached until their revision changes", "[device][host][staging]") {
  constexpr std::size_t kBytes = (kChannels + kRows) * kColumns * sizeof(float);
  constexpr std::size_t kWeights = kChannels * kColumns * sizeof(float);
  math::ThreadPool threads(2);
  HostDevice device(threads);
  surface::SurfacePool pool(device.surface_allocator());
  const auto kernel = device.compile("kernel", mil::print(product_of_rows(DType::fp32)), {});
  Surface input = pool.acquire(kBytes);
  Surface output = pool.acquire(kOut * kColumns * sizeof(float));
  const auto fill = [&](std::size_t begin, std::size_t end, float value) {
    const auto mapping = input.map_for_write();
    std::ranges::fill(mapping.as<float>().subspan(begin / sizeof(float), (end - begin) / sizeof(float)), value);
  };
  const auto result = [&] {
    const std::array<Surface*, 1> in{&input};
    const std::array<Surface*, 1> out{&output};
    kernel->run(in, out);
    return output.map_for_read().as<float>()[0] / kChannels;
  };
  fill(0, kWeights, 2);
  fill(kWeights, kBytes, 3);
  input.set_resident({kBytes, kWeights, 1});
  CHECK(result() == 6);
  fill(0, kWeights, 4);
  CHECK(result() == 12);
  fill(kWeights, kBytes, 5);
#ifdef ANE_POISON
  CHECK_THROWS_WITH(result(), ANE_CONTAINS("a resident part of input 'pack' changed without a new revision"));
#else
  CHECK(result() == 12);
#endif
  input.set_resident({kBytes, kWeights, 2});
  CHECK(result() == 20);
  fill(kWeights, kBytes, 6);
  input.set_resident({kBytes, kWeights + 4, 2});  // not all of them
  CHECK(result() == 24);
}

TEST_CASE("two kernels that alternate on a surface do not read each other's copies", "[device][host][staging]") {
  Rig rig;
  rig.promise(1);
  const std::vector<float> expected = rig.run();
  mil::Builder b(DType::fp32);
  const Var pack = b.input("pack", {1, kChannels, 1, kWidth});
  const Var w =
      b.reshape("w", b.slice("w_part", pack, {0, 0, 0, kColumns}, {1, kChannels, 1, kOut}), {1, 1, kChannels, kOut});
  const Var square = b.matmul("square", w, w, true, false);
  const auto other = rig.device.compile("kernel", mil::print(std::move(b).finish(std::array{square})), {});
  Surface result = rig.pool.acquire(kOut * kOut * sizeof(float));
  const std::array<Surface*, 1> in{&rig.input};
  const std::array<Surface*, 1> out{&result};
  other->run(in, out);
  CHECK(rig.run() == expected);
}

}  // namespace
}  // namespace ane::device::host
