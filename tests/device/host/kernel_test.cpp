#include <algorithm>
#include <array>

#include "ane/mil/text.h"
#include "ane/surface/pool.h"

#include "harness.h"
#include "support/allocation_counter.h"
#include "support/catch.h"
#include "support/together.h"

namespace ane::device::host {
namespace {

using mil::Builder;
using mil::DType;
using mil::OpKind;
using mil::Var;
using surface::Surface;

mil::Program scaled_projection() {
  Builder b(DType::fp16);
  const Var x = b.input("x_in", {1, 16, 1, 40});
  const Var y = b.conv1x1("y_out", x, b.blob("w", {8, 16, 1, 1}, "@model_path/w.bin"));
  const Var gate = b.sigmoid("gate_out", y);
  return std::move(b).finish(std::vector{y, gate});
}

mil::Blobs weights(std::uint32_t seed) {
  std::mt19937 random(seed);
  return {{"@model_path/w.bin", blob_file(random_tensor({DType::fp16, {8, 16, 1, 1}}, random))}};
}

TEST_CASE("ports are in the order of the text, with the sizes of padded rows", "[device][host]") {
  math::ThreadPool threads(1);
  HostDevice device(threads);
  const auto kernel = device.compile("kernel", mil::print(scaled_projection()), weights(1));
  REQUIRE(kernel->inputs().size() == 1);
  CHECK(kernel->inputs()[0].name == "x_in");
  CHECK(kernel->inputs()[0].size_bytes == 16 * 128);
  REQUIRE(kernel->outputs().size() == 2);
  CHECK(kernel->outputs()[0].name == "y_out");
  CHECK(kernel->outputs()[1].size_bytes == 8 * 128);
}

TEST_CASE("kernels of one text keep their own weights, also after others are destroyed", "[device][host]") {
  const mil::Program program = scaled_projection();
  std::mt19937 random(3);
  const std::vector<reference::Tensor> inputs{random_tensor({DType::fp16, {1, 16, 1, 40}}, random)};
  math::ThreadPool threads(2);
  HostDevice device(threads);
  mil::Blobs first = weights(1);
  auto kernel = device.compile("kernel", mil::print(program), first);
  const auto expected = run(device, program, weights(2), inputs);
  first.clear();
  CHECK(run(device, program, weights(2), inputs)[0].data == expected[0].data);
  CHECK(run(device, program, weights(1), inputs)[0].data != expected[0].data);
  kernel.reset();
  CHECK(run(device, program, weights(2), inputs)[0].data == expected[0].data);
}

TEST_CASE("a kernel may run on several threads at once", "[device][host]") {
  const RunThreads run_threads = GENERATE(RunThreads::all, RunThreads::one);
  constexpr std::size_t kThreads = 3;
  const mil::Program program = scaled_projection();
  math::ThreadPool pool(2);
  HostDevice device(pool, run_threads);
  const auto kernel = device.compile("kernel", mil::print(program), weights(1));
  surface::SurfacePool surfaces(device.surface_allocator());
  struct Run {
    std::byte input{};
    std::vector<std::byte> expected;
    int differences = 0;
  };
  const auto result_of = [&](const Run& run) {
    Surface in = surfaces.acquire(kernel->inputs()[0].size_bytes);
    Surface y = surfaces.acquire(kernel->outputs()[0].size_bytes);
    Surface gate = surfaces.acquire(kernel->outputs()[1].size_bytes);
    std::ranges::fill(in.map_for_write().bytes(), run.input);
    kernel->run(std::array{&in}, std::array{&y, &gate});
    const auto mapping = gate.map_for_read();
    return std::vector<std::byte>(mapping.bytes().begin(), mapping.bytes().end());
  };
  std::vector<Run> runs(kThreads);
  for (std::size_t i = 0; i < kThreads; ++i) {
    runs[i].input = static_cast<std::byte>(0x38 + i);
    runs[i].expected = result_of(runs[i]);
  }
  REQUIRE(runs[0].expected != runs[1].expected);
  ane::test::run_together(kThreads, [&](std::size_t i) {
    for (int repetition = 0; repetition < 3000; ++repetition)
      if (result_of(runs[i]) != runs[i].expected) ++runs[i].differences;
  });
  for (const Run& run : runs) CHECK(run.differences == 0);
}

TEST_CASE("with one thread per run, results equal those of a pool of one", "[device][host]") {
  const mil::Program program = scaled_projection();
  std::mt19937 random(3);
  const std::vector<reference::Tensor> inputs{random_tensor({DType::fp16, {1, 16, 1, 40}}, random)};
  math::ThreadPool several(3);
  math::ThreadPool single(1);
  HostDevice device(several, RunThreads::one);
  HostDevice alone(single);
  CHECK(run(device, program, weights(1), inputs)[0].data == run(alone, program, weights(1), inputs)[0].data);
}

struct Surfaces {
  surface::HeapAllocator allocator;
  surface::SurfacePool pool{allocator};
  Surface x = pool.acquire(16 * 128);
  Surface y = pool.acquire(8 * 128);
  Surface gate = pool.acquire(8 * 128);
};

TEST_CASE("run says which surface is wrong", "[device][host]") {
  math::ThreadPool threads(1);
  HostDevice device(threads);
  const auto kernel = device.compile("kernel", mil::print(scaled_projection()), weights(1));
  Surfaces s;
  Surface small = s.pool.acquire(64);
  const std::array<Surface*, 1> in{&s.x};
  const std::array<Surface*, 2> out{&s.y, &s.gate};
  kernel->run(in, out);

  const std::array<Surface*, 1> small_in{&small};
  CHECK_THROWS_WITH(kernel->run(small_in, out),
                    ANE_CONTAINS("input 'x_in'") && ANE_CONTAINS("2048 bytes") && ANE_CONTAINS("has 64"));
  const std::array<Surface*, 1> no_in{nullptr};
  CHECK_THROWS_WITH(kernel->run(no_in, out), ANE_CONTAINS("input 'x_in'") && ANE_CONTAINS("none was given"));
  CHECK_THROWS_WITH(kernel->run(in, std::span(out).first(1)), ANE_CONTAINS("takes 2 output surfaces, but 1"));
  const std::array<Surface*, 2> twice{&s.y, &s.y};
  CHECK_THROWS_WITH(kernel->run(in, twice), ANE_CONTAINS("output 'gate_out'") && ANE_CONTAINS("another output"));
  const std::array<Surface*, 2> onto_input{&s.x, &s.gate};
  CHECK_THROWS_WITH(kernel->run(in, onto_input), ANE_CONTAINS("output 'y_out' uses the surface of an input"));
  CHECK_THROWS_AS(kernel->run(in, onto_input), DeviceError);
}

TEST_CASE("compile errors name their cause", "[device][host]") {
  math::ThreadPool threads(1);
  HostDevice device(threads);
  CHECK_THROWS_AS(device.compile("kernel", "program(1.3) {", {}), mil::ParseError);
  CHECK_THROWS_AS(device.compile("kernel", mil::print(scaled_projection()), {}), CompileError);
  CHECK_THROWS_WITH(device.compile("kernel", mil::print(scaled_projection()), {}), ANE_CONTAINS("@model_path/w.bin"));
  Builder b(DType::fp16);
  const Var x = b.input("x_in", {DType::int64, {4}});
  const Var out = b.reshape("out", x, {2, 2});
  const auto program = std::move(b).finish(std::vector{out});
  CHECK_THROWS_AS(device.compile("kernel", mil::print(program), {}), CompileError);
  CHECK_THROWS_WITH(device.compile("kernel", mil::print(program), {}), ANE_CONTAINS("input 'x_in' is int64"));
}

TEST_CASE("a run allocates nothing", "[device][host]") {
  Builder b(DType::fp16);
  const Var x = b.input("x_in", {1, 64, 1, 64});
  const Var heads = b.transpose("heads", b.reshape("r", x, {1, 4, 16, 64}), {0, 1, 3, 2});
  const Var probs = b.softmax("probs", b.mul("m", b.matmul("scores", heads, heads, false, true), b.scalar(0.25F)));
  const Var mixed = b.matmul("mixed", probs, heads);
  const Var total = b.reduce(OpKind::reduce_sum, "total", mixed, {-1});
  const Var out = b.concat("out", std::vector{mixed, total, b.sigmoid("gate", heads)}, 3);
  math::ThreadPool threads(2);
  HostDevice device(threads);
  const auto kernel = device.compile("kernel", mil::print(std::move(b).finish(std::vector{out})), {});
  surface::SurfacePool pool(device.surface_allocator());
  Surface in = pool.acquire(kernel->inputs()[0].size_bytes);
  Surface result = pool.acquire(kernel->outputs()[0].size_bytes);
  const std::array<Surface*, 1> inputs{&in};
  const std::array<Surface*, 1> outputs{&result};
  kernel->run(inputs, outputs);
  const long before = test::allocation_count();
  kernel->run(inputs, outputs);
  CHECK(test::allocation_count() == before);
}

TEST_CASE("results do not depend on the thread count", "[device][host]") {
  std::mt19937 random(5);
  const std::vector<reference::Tensor> inputs{random_tensor({DType::fp16, {1, 16, 1, 40}}, random)};
  math::ThreadPool one(1);
  math::ThreadPool two(2);
  HostDevice a(one);
  HostDevice b(two);
  const auto left = run(a, scaled_projection(), weights(1), inputs);
  const auto right = run(b, scaled_projection(), weights(1), inputs);
  CHECK(left[1].data == right[1].data);
}

TEST_CASE("the device describes itself and warns about rules of the ANE", "[device][host]") {
  math::ThreadPool threads(2);
  HostDevice device(threads);
  CHECK(device.name() == "host");
  CHECK_THAT(device.description(), ANE_CONTAINS("host (CPU): ") && ANE_CONTAINS("2 threads"));
  CHECK(device.shares_cpu());
  CHECK_FALSE(device.limits_compiles());
  CHECK_FALSE(device.approximates());
  CHECK_FALSE(device.peak_tflops());
  Builder b(DType::fp16);
  const Var x = b.input("x_in", {1, 64, 1, 64});
  const Var out = b.unary(OpKind::rsqrt, "out", x);
  const auto program = std::move(b).finish(std::vector{out});
  CHECK_FALSE(device.check(program).empty());
}

}  // namespace
}  // namespace ane::device::host
