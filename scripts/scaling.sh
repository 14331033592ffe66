#!/usr/bin/env bash
# scaling.sh [PROGRAM]: how the cost of a step and the memory of a run grow with sequence length and layers, as a table.
# Each should grow as fast as what it is for: time with the arithmetic (attention's part is quadratic in the sequence),
# memory with parameters, activations and baked weights.
set -euo pipefail
cd "$(dirname "$0")/.."
program=${1:-build/release/ane-train}
model=(--dim 512 --hidden 1376 --heads 8 --vocab 4096)

field() { sed -n "s/^$1: *\([^ ]*\).*/\1/p" <<< "$2"; }

measure() { # SEQ LAYERS
  local report
  report=$("$program" "${model[@]}" --seq "$1" --layers "$2" --max-compiles 1000 --steps 10 --accum-steps 5 --val-samples 1)
  printf '%6s %6s %12s %10s %10s   %s\n' "$1" "$2" "$(field 'Avg train' "$report")" \
    "$(field 'Host TFLOPS' "$report")" "$(field 'Peak memory' "$report")" "$(sed -n 's/^Surfaces: *//p' <<< "$report")"
}

printf '%6s %6s %12s %10s %10s   %s\n' seq layers ms/step TFLOP/s 'peak MB' surfaces
for seq in 64 128 256 512 1024; do measure "$seq" 6; done
for layers in 2 4 8 12 16 24; do measure 256 "$layers"; done
