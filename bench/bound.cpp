/// The GEMM bound, one update at a time, for scripts/compare_torch.py, which runs it in turn with ane-train and
/// PyTorch.
///
///   bench_bound [ane-train's settings: --config stories110m --threads 2 ...]
///
/// Repeatedly reads a line and answers with a line of JSON, until its input ends. After "cores" it checks whether the
/// threads share a processor core (cores.h); after any other line it runs the products of an update's steps.
#include <cstdio>
#include <iostream>
#include <string>

#include <fmt/format.h>

#include "bench.h"
#include "cores.h"
#include "floor.h"
#include "step_products.h"

namespace ane::bench {
namespace {

int run(Arguments arguments) {  // NOLINT(performance-unnecessary-value-param): the type that run_main expects
  const cli::Settings settings = arguments.settings();
  math::ThreadPool threads(settings.threads == 0 ? math::processor_count() : static_cast<int>(settings.threads));
  GemmFloor floor(step_products(settings), threads);
  fmt::print("{:.2f} GFLOP per sequence\n", floor.flops() * 1e-9);
  std::fflush(stdout);
  for (std::string line; std::getline(std::cin, line);) {
    if (line == "cores") {
      const double slowdown = slowdown_of_all_threads(threads);
      fmt::print("{{\"slowdown\": {:.3f}, \"shared\": {}}}\n", slowdown, shares_core(slowdown));
    } else {
      const Duration time = time_of([&] {
        for (int step = 0; step < settings.accum_steps; ++step) static_cast<void>(floor.run());
      });
      fmt::print("{{\"steps\": {}, \"ms\": {:.4f}}}\n", settings.accum_steps, milliseconds(time));
    }
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace
}  // namespace ane::bench

int main(int argc, char** argv) { return ane::bench::run_main(argc, argv, ane::bench::run); }
