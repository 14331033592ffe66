#!/usr/bin/env bash
# Trains once for each value of a setting and prints a table: wall time, updates, losses, speed.
#   scripts/sweep.sh SETTING VALUE... [-- ane-train's options]
# For example, in the directory with your data:
#   scripts/sweep.sh lr 3e-4 1e-3 3e-3 -- --config shakespeare --data input.txt --steps 400
#   scripts/sweep.sh accum-steps 5 10 20 40 -- --config stories15m --steps 160
# Runs of the same --steps see the same sequences. Many sequences per update mean few compiles, but also few updates: compare the
# losses as well as the times. Everything that a run prints is in the file that is named if it fails.
set -euo pipefail
project=$(cd "$(dirname "$0")/.." && pwd)

usage() { sed -n '2,8s/^# \{0,1\}//p' "$0"; }
if (($# < 2)) || [[ $1 == -* ]]; then
  usage >&2
  exit 2
fi
setting=$1
shift
values=()
while (($#)) && [[ $1 != -- ]]; do
  values+=("$1")
  shift
done
(($# == 0)) || shift  # the --
((${#values[@]})) || { usage >&2; exit 2; }

program=${ANE_TRAIN:-$project/build/release/ane-train}
[[ -x $program ]] || { (cd "$project" && scripts/setup.sh && scripts/build.sh release ane-train) >&2; }
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT

for value in "${values[@]}"; do
  echo "sweep.sh: --$setting $value" >&2
  if ! "$program" "$@" "--$setting" "$value" --telemetry "$results/$value.jsonl" >"$results/log" 2>&1; then
    kept=$(mktemp "${TMPDIR:-/tmp}/sweep-XXXXXX")
    cp "$results/log" "$kept"
    echo "sweep.sh: --$setting $value failed ($kept): $(tail -n 1 "$results/log")" >&2
  fi
done
python3 "$project/scripts/sweep_table.py" "$setting" "$results" "${values[@]}"
