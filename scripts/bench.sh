#!/usr/bin/env bash
# Measures this machine and writes Markdown tables: steps against their matrix products, kernels, compiling, the driver's
# overhead, single operations, restarts, memory, PyTorch.
#   scripts/bench.sh [FILE]      FILE: output file (build/bench.md); takes several minutes
# Nothing else should run meanwhile. ANE_BENCH_THREADS: threads (default: one per processor).
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh --bench
scripts/build.sh release ane-train benchmarks -DANE_BENCH=ON
torch=false
scripts/torch_root.sh && torch=true

programs=build/release/bench
export ANE_BENCH_THREADS=${ANE_BENCH_THREADS:-$(getconf _NPROCESSORS_ONLN)}
processor() { sed -n 's/^model name.*: //p' /proc/cpuinfo 2>/dev/null | head -n 1 | grep . || sysctl -n machdep.cpu.brand_string; }

measure() {
  echo "# $(build/release/ane-train --version | head -n 1)"
  echo
  echo "Commit $(git describe --always --dirty 2>/dev/null || echo unknown), $(date -u +%F), $(uname -sr), $(processor)," \
    "$ANE_BENCH_THREADS threads. Times are the best of several; each bound is measured in turn with the measurement that it bounds."
  local config
  for config in shakespeare stories15m stories110m; do
    printf '\n## Steps: %s\n' "$config"
    "$programs/bench_step" --config "$config" --threads "$ANE_BENCH_THREADS"
    printf '\n## Compiling: %s\n' "$config"
    "$programs/bench_compile" --config "$config" --threads "$ANE_BENCH_THREADS"
    printf '\n## Continuing a text: %s\n' "$config"
    "$programs/bench_decode" --config "$config" --threads "$ANE_BENCH_THREADS"
  done
  printf '\n## The driver alone, on a device that returns immediately\n'
  "$programs/bench_driver" --config stories110m --threads "$ANE_BENCH_THREADS"
  printf '\n## Single operations\n\n```\n'
  "$programs/bench_ops" --benchmark_min_time=0.2 2>/dev/null
  printf '```\n\n## Whole runs\n'
  scripts/bench_runs.py restart growth
  if $torch; then
    printf '\n## PyTorch on the same training, in turn\n'
    scripts/compare_torch.py --threads "$ANE_BENCH_THREADS"
  fi
}
mkdir -p build
measure | tee "${1:-build/bench.md}"
