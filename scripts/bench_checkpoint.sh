#!/usr/bin/env bash
# What checkpoints cost the steps that run while they are written: every second update is followed by one, in one run; the
# steps after it are compared with the median step of the run.
#   scripts/bench_checkpoint.sh [CONFIG [UPDATES [ACCUM [ARGUMENT...]]]]      default: stories110m 8 3
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh
scripts/build.sh release ane-train
program=$PWD/build/release/ane-train
config=${1:-stories110m} updates=${2:-8} accum=${3:-3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"$program" --config "$config" --device host --steps $((updates * accum)) --accum-steps "$accum" --max-compiles 1000000 --val-samples 1 \
  --log-every 1 --checkpoint-dir c --checkpoint-every 2 --keep-checkpoints 1 "${@:4}" >out
grep -E '^(\[checkpoint|Checkpoints:|Avg train:|Peak memory:)' out
awk -v accum="$accum" '
  /^step / {
    sub("ms/step", "", $5)
    n = $2 - 1
    if (n < accum) next                                        # the first batch warms up
    time[++count] = $5
    if (int(n / accum) % 2 == 0) after[n % accum, ++times[n % accum]] = $5
  }
  function median(values, size,   i, j, swap) {
    for (i = 1; i < size; ++i) for (j = i + 1; j <= size; ++j) if (values[j] < values[i]) { swap = values[i]; values[i] = values[j]; values[j] = swap }
    return size % 2 ? values[(size + 1) / 2] : (values[size / 2] + values[size / 2 + 1]) / 2
  }
  END {
    all = median(time, count)
    printf "median of %d steps: %.1f ms\n", count, all
    for (k = 0; k < accum; ++k) {
      for (i = 1; i <= times[k]; ++i) values[i] = after[k, i]
      middle = median(values, times[k])
      printf "step %d after a request: median %.1f ms (%.3f), longest %.1f ms (%.3f), of %d\n", k + 1, middle, middle / all, values[times[k]], values[times[k]] / all, times[k]
    }
  }' out
