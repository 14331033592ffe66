#!/usr/bin/env bash
# Measures this machine: what steps cost beside their matrix products. Writes a table, in Markdown.
#   scripts/bench.sh [FILE]      FILE: where it goes (build/bench.md)
# Run it on a machine that does nothing else. ANE_BENCH_THREADS: threads (default: one a processor).
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh --bench
scripts/build.sh release -DANE_BENCH=ON

programs=build/release/bench
threads=${ANE_BENCH_THREADS:-$(getconf _NPROCESSORS_ONLN)}
{
  echo "# Benchmarks of $(build/release/ane-train --version | head -n 1), commit $(git describe --always --dirty 2>/dev/null || echo unknown)"
  echo
  echo "$(uname -sr), $(sed -n 's/^model name.*: //p' /proc/cpuinfo 2>/dev/null | head -n 1 || sysctl -n machdep.cpu.brand_string), $threads threads, $(date -u +%F)"
  for config in shakespeare stories15m stories110m; do
    "$programs/bench_step" --config "$config" --threads "$threads"
  done
} | tee "${1:-build/bench.md}"
