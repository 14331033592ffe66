#!/usr/bin/env bash
# Compares the weight modes: stories110m, 30 steps, on the stand-in for Apple's framework, where every compile takes 60 ms, as is
# usual on a Mac. One row per mode, from the efficiency report.
#   scripts/compare_weights.sh [MODE...]      MODE: baked, worker1 and worker2 (baked, compiled by one or two workers), merged,
#                                             pipeline, pipeline-worker2, dynamic, lora (rank 16); default: all
# Like the engine, the stand-in sees an input only as bytes, so it converts dynamic weights at every step: its ms/step do not
# predict those of an engine; bench_weights measures the host's.
# STEPS, STANDIN_COMPILE_MS and PROGRAM (default: the release build's ane-train-standin) may be set.
set -euo pipefail
cd "$(dirname "$0")/.."
program=${PROGRAM:-build/release/ane-train-standin}
[[ -x $program ]] || { scripts/setup.sh --test && scripts/build.sh release; }
program=$(realpath "$program")
export STANDIN_COMPILE_MS=${STANDIN_COMPILE_MS:-60} STANDIN_THREADS=${STANDIN_THREADS:-$(nproc)}
[[ $# -gt 0 ]] || set -- baked worker1 worker2 merged pipeline pipeline-worker2 dynamic lora
log=$(mktemp)
trap 'rm -f "$log"' EXIT

field() { sed -nE "s/^$1: +([^ ]+)( ms)? ?(\(([^)]*)\))?.*/\\$2/p" "$log"; }  # LABEL, 1: the number, 4: in brackets

printf '%-16s %9s %12s %9s %12s %9s %9s %9s\n' mode 'wall ms' 'compile ms' share 'hidden ms' restarts compiles 'ms/step'
for mode; do
  case $mode in
    baked) settings=(--weights baked) ;;
    worker[1-9]) settings=(--weights baked --compile-in worker --compile-workers "${mode#worker}") ;;
    pipeline-worker[1-9])
      settings=(--weights baked --pipeline --plan merged --compile-in worker --compile-workers "${mode#pipeline-worker}") ;;
    pipeline) settings=(--weights baked --pipeline --plan merged) ;;
    merged) settings=(--weights baked --plan merged) ;;
    dynamic) settings=(--weights dynamic) ;;
    lora)
      model=build/random/stories110m
      [[ -d $model ]] || { mkdir -p build/random && scripts/random_model.py stories110m "$model"; }
      settings=(--model "$model" --lora 16 --weights baked) ;;
    *) echo "unknown mode '$mode'" >&2; exit 2 ;;
  esac
  config=(--config stories110m)
  [[ $mode != lora ]] || config=(--seq 256)
  "$program" "${config[@]}" --steps "${STEPS:-30}" --device ane --val-samples 1 "${settings[@]}" >"$log"
  beside=$(sed -nE 's/^Compile time:.* and ([0-9]+) ms during.*/\1/p' "$log")
  restarts=$(sed -nE 's/^Restarts:.*\), ([0-9]+) of .*/\1/p' "$log")
  printf '%-16s %9s %12s %9s %12s %9s %9s %9s\n' "$mode" "$(field 'Wall time' 1)" "$(field 'Compile time' 1)" \
    "$(field 'Compile time' 4)" "${beside:--}" "$restarts" "$(field Compiles 1)" "$(field 'Avg train' 1)"
done
