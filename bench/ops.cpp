/// Single operations at the sizes of stories110m, each in turn with its bound: moving its memory, or its products.
///
///   bench_ops [Google Benchmark's flags: --benchmark_filter=softmax ...]
///
/// ANE_BENCH_THREADS: threads (default: one per processor). `bound_ms` and `ratio` are of the shortest times.
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>

#include "ane/device/host/host_device.h"
#include "ane/math/half.h"
#include "ane/math/nn.h"
#include "ane/mil/builder.h"
#include "ane/mil/text.h"
#include "ane/surface/pool.h"

#include "copy_bound.h"
#include "floor.h"
#include "statistics.h"

namespace ane::bench {
namespace {

using mil::Builder;
using mil::OpKind;
using mil::Var;

constexpr std::int64_t kDim = 768;
constexpr std::int64_t kHidden = 2048;
constexpr std::int64_t kHeads = 12;
constexpr std::int64_t kHeadDim = 64;
constexpr std::int64_t kSeq = 256;
constexpr std::size_t kVocab = 32000;
constexpr std::size_t kParameters = 25'000'000;

int thread_count() {
  const char* const asked_for = std::getenv("ANE_BENCH_THREADS");
  return asked_for != nullptr ? std::atoi(asked_for) : math::processor_count();
}

std::size_t count(std::int64_t a, std::int64_t b) { return static_cast<std::size_t>(a * b); }

using Action = std::function<void()>;

void measure(benchmark::State& state, const Action& operation, const Action& bound) {
  std::vector<Duration> times;
  std::vector<Duration> bounds;
  operation();
  bound();
  for ([[maybe_unused]] auto each : state) {
    times.push_back(time_of(operation));
    bounds.push_back(time_of(bound));
    state.SetIterationTime(std::chrono::duration<double>(times.back()).count());
  }
  const double bound_ms = milliseconds(best(bounds));
  state.counters["bound_ms"] = bound_ms;
  state.counters["ratio"] = milliseconds(best(times)) / bound_ms;
}

void add_benchmark(const std::string& name, std::function<void(benchmark::State&)> run) {
  benchmark::RegisterBenchmark(name.c_str(), std::move(run))->UseManualTime()->Unit(benchmark::kMillisecond);
}

/// An operation on the CPU that moves `bytes`.
void cpu_operation(const std::string& name, double bytes, math::ThreadPool& threads, Action operation) {
  add_benchmark("cpu/" + name, [bytes, &threads, operation = std::move(operation)](benchmark::State& state) {
    CopyBound bound(bytes, threads);
    measure(state, operation, [&] { bound.run(); });
  });
}

void add_cpu_operations(math::ThreadPool& threads) {
  const std::size_t wide = count(kDim, kSeq);
  const double wide_bytes = static_cast<double>(wide) * sizeof(float);
  const auto x = std::make_shared<Floats>(wide);
  const auto y = std::make_shared<Floats>(wide);
  const auto dx = std::make_shared<Floats>(wide);
  const auto w = std::make_shared<Floats>(static_cast<std::size_t>(kDim));
  const auto dw = std::make_shared<Floats>(static_cast<std::size_t>(kDim));
  const auto r = std::make_shared<Floats>(static_cast<std::size_t>(kSeq));
  cpu_operation("rms_norm_forward/C768_S256/f32", 2 * wide_bytes, threads,
                [=, &threads] { math::rms_norm_forward(x->all(), w->all(), 1e-5F, y->all(), r->all(), threads); });
  cpu_operation("rms_norm_backward/C768_S256/f32", 4 * wide_bytes, threads, [=, &threads] {
    math::rms_norm_backward(x->all(), y->all(), w->all(), r->all(), dx->all(), dx->all(), dw->all(), threads);
  });
  cpu_operation("add/C768_S256/f32", 3 * wide_bytes, threads,
                [=, &threads] { math::add(x->all(), y->all(), threads); });

  const auto logits = std::make_shared<Floats>(kVocab * static_cast<std::size_t>(kSeq));
  const auto losses = std::make_shared<std::vector<double>>(static_cast<std::size_t>(kSeq));
  const std::vector<std::uint32_t> targets(static_cast<std::size_t>(kSeq), 7);
  cpu_operation(
      "cross_entropy/S256_V32000/f32", 2.0 * static_cast<double>(logits->size()) * sizeof(float), threads,
      [=, &threads] { benchmark::DoNotOptimize(math::cross_entropy(logits->all(), targets, 1.0F, *losses, threads)); });

  const auto p = std::make_shared<Floats>(kParameters);
  const auto g = std::make_shared<Floats>(kParameters);
  const auto m = std::make_shared<Floats>(kParameters);
  const auto v = std::make_shared<Floats>(kParameters);
  std::fill(v->all().begin(), v->all().end(), 1e-4F);
  const double parameter_bytes = static_cast<double>(kParameters) * sizeof(float);
  cpu_operation("adamw/25M/f32", 8 * parameter_bytes, threads, [=, &threads] {
    benchmark::DoNotOptimize(
        math::adamw({.lr = 1e-6F, .weight_decay = 0.1F}, p->all(), g->all(), m->all(), v->all(), threads));
  });
  cpu_operation("sum_of_squares/25M/f32", parameter_bytes, threads,
                [=, &threads] { benchmark::DoNotOptimize(math::sum_of_squares(p->all(), threads)); });
}

/// A program of one operation (or few) on the host device.
class HostRun {
 public:
  HostRun(device::Device& device, surface::SurfacePool& pool, const mil::Program& program)
      : kernel_(device.compile("kernel", mil::print(program), {})) {
    fill(kernel_->inputs(), pool, inputs_, input_pointers_);
    fill(kernel_->outputs(), pool, outputs_, output_pointers_);
  }
  void run() { kernel_->run(input_pointers_, output_pointers_); }
  [[nodiscard]] double bytes() const {
    double sum = 0;
    for (const device::Port& port : kernel_->inputs()) sum += static_cast<double>(port.size_bytes);
    for (const device::Port& port : kernel_->outputs()) sum += static_cast<double>(port.size_bytes);
    return sum;
  }

 private:
  static void fill(std::span<const device::Port> ports, surface::SurfacePool& pool,
                   std::vector<surface::Surface>& surfaces, std::vector<surface::Surface*>& pointers) {
    for (const device::Port& port : ports) {
      surfaces.push_back(pool.acquire(port.size_bytes));
      const Floats values(port.size_bytes / sizeof(math::Half));
      const auto mapping = surfaces.back().map_for_write();
      math::to_half(values.all(), mapping.as<math::Half>());
    }
    for (surface::Surface& surface : surfaces) pointers.push_back(&surface);
  }

  std::unique_ptr<device::Kernel> kernel_;
  std::vector<surface::Surface> inputs_, outputs_;
  std::vector<surface::Surface*> input_pointers_, output_pointers_;
};

struct Host {
  explicit Host(math::ThreadPool& pool) : threads(&pool), device(pool), surfaces(device.surface_allocator()) {}
  math::ThreadPool* threads;
  device::host::HostDevice device;
  surface::SurfacePool surfaces;
};

/// `build` creates the program's result. The bound is its products if it has any, else moving its surfaces.
void host_operation(const std::string& name, Host& host, const std::function<Var(Builder&)>& build) {
  Builder builder(mil::DType::fp16);
  const Var result = build(builder);
  const mil::Program program = std::move(builder).finish({&result, 1});
  add_benchmark("host/" + name, [&host, program](benchmark::State& state) {
    HostRun run(host.device, host.surfaces, program);
    if (std::vector<Product> products = products_of(program, ""); !products.empty()) {
      GemmFloor floor(std::move(products), *host.threads);
      measure(
          state, [&] { run.run(); }, [&] { static_cast<void>(floor.run()); });
    } else {
      CopyBound bound(run.bytes(), *host.threads);
      measure(
          state, [&] { run.run(); }, [&] { bound.run(); });
    }
  });
}

void add_host_operations(Host& host) {
  const mil::Shape wide{1, kHidden, 1, kSeq};
  const mil::Shape scores{1, kHeads, kSeq, kSeq};
  const mil::Shape heads{1, kHeads, kSeq, kHeadDim};
  host_operation("add/C2048_S256/f16", host, [&](Builder& mil) {
    const Var x = mil.input("x", wide);
    const Var y = mil.input("y", wide);
    return mil.add("out", x, y);
  });
  host_operation("swiglu/C2048_S256/f16", host, [&](Builder& mil) {
    const Var x = mil.input("x", wide);
    const Var y = mil.input("y", wide);
    const Var sigmoid = mil.sigmoid("sigmoid", x);
    const Var silu = mil.mul("silu", x, sigmoid);
    return mil.mul("out", silu, y);
  });
  host_operation("softmax/12x256x256/f16", host, [&](Builder& mil) {
    const Var x = mil.input("x", scores);
    return mil.softmax("out", x);
  });
  host_operation("reduce_sum/12x256x256/f16", host, [&](Builder& mil) {
    const Var x = mil.input("x", scores);
    return mil.reduce(OpKind::reduce_sum, "out", x, {-1});
  });
  host_operation("transpose/12x256x64/f16", host, [&](Builder& mil) {
    const Var x = mil.input("x", heads);
    return mil.transpose("out", x, {0, 1, 3, 2});
  });
  host_operation("concat/2xC2048_S256/f16", host, [&](Builder& mil) {
    const Var x = mil.input("x", wide);
    const Var y = mil.input("y", wide);
    return mil.concat("out", std::vector<Var>{x, y}, 1);
  });
  host_operation("slice/C1024_of_2048_S256/f16", host, [&](Builder& mil) {
    const Var x = mil.input("x", wide);
    return mil.slice("out", x, {0, kHidden / 2, 0, 0}, {1, kHidden / 2, 1, kSeq});
  });
  host_operation("matmul_qk/12x256x64/f16", host, [&](Builder& mil) {
    const Var q = mil.input("q", heads);
    const Var k = mil.input("k", heads);
    return mil.matmul("out", q, k, false, true);
  });
  host_operation("matmul_pv/12x256x256/f16", host, [&](Builder& mil) {
    const Var p = mil.input("p", scores);
    const Var v = mil.input("v", heads);
    return mil.matmul("out", p, v);
  });
}

}  // namespace
}  // namespace ane::bench

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  ane::math::ThreadPool threads(ane::bench::thread_count());
  ane::bench::Host host(threads);
  benchmark::AddCustomContext("device", host.device.description());
  ane::bench::add_cpu_operations(threads);
  ane::bench::add_host_operations(host);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
