#!/usr/bin/env bash
# Measures how much a checkpoint slows down the steps during which it is written. In one run, every third update is followed by
# a checkpoint; the steps after these requests are compared with those of the batches before them, when no write is in progress.
# Fails if the first step after a request takes over 10% longer than the median step. Run it on an otherwise idle machine.
#   scripts/bench_checkpoint.sh [CONFIG [CHECKPOINTS [ACCUM [ARGUMENT...]]]]      default: stories110m 5 5
# TMPDIR selects the disk.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh
scripts/build.sh release ane-train
program=$PWD/build/release/ane-train
config=${1:-stories110m} checkpoints=${2:-5} accum=${3:-5}
every=3
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

train() {  # UPDATES ARGUMENT...
  "$program" --config "$config" --device host --steps $(($1 * accum)) --accum-steps "$accum" --max-compiles 1000000 \
    --val-samples 1 --log-every 1 "${@:2}"
}
peak() { sed -n 's/^Peak memory: *//p' "$1"; }

train 2 "${@:4}" >without
# One more batch follows the last request, then a final checkpoint that overlaps with no step.
train $((checkpoints * every + 1)) --checkpoint-dir c --checkpoint-every "$every" --keep-checkpoints 1 "${@:4}" >with
grep -E '^(\[checkpoint|Checkpoints:)' with
echo "peak memory: $(peak with), $(peak without) without checkpoints"
awk -v accum="$accum" -v every="$every" '
  function median(values, size,   i, j, swap) {
    for (i = 1; i < size; ++i) for (j = i + 1; j <= size; ++j) if (values[j] < values[i]) { swap = values[i]; values[i] = values[j]; values[j] = swap }
    return size % 2 ? values[(size + 1) / 2] : (values[size / 2] + values[size / 2 + 1]) / 2
  }
  /^step / {
    sub("ms/step", "", $5)
    batch = int(($2 - 1) / accum)
    k = ($2 - 1) % accum
    if (batch % every == every - 1) { quiet[++quiet_count] = $5; before[k, ++before_count[k]] = $5 }
    if (batch % every == 0 && batch > 0) after[k, ++after_count[k]] = $5
  }
  END {
    usual = median(quiet, quiet_count)
    printf "median of %d steps without a write: %.1f ms\n", quiet_count, usual
    for (k = 0; k < accum; ++k) {
      for (i = 1; i <= before_count[k]; ++i) values[i] = before[k, i]
      same = median(values, before_count[k])
      for (i = 1; i <= after_count[k]; ++i) values[i] = after[k, i]
      found = median(values, after_count[k])
      printf "step %d after a request: median of %d %.1f ms: %.3f of the median step, %.3f of the same step of other batches; longest %.3f\n",
        k + 1, after_count[k], found, found / usual, found / same, values[after_count[k]] / usual
      if (k == 0) ratio = found / usual
    }
    printf "the step after a request takes %.1f%% longer: %s\n", 100 * (ratio - 1), ratio <= 1.1 ? "within 10%" : "MORE THAN 10%"
    exit ratio > 1.1
  }' with
