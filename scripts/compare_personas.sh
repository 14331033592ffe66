#!/usr/bin/env bash
# Trains the shakespeare config for 200 updates on the personas of the stand-in for Apple's framework, each of which has the limits
# and the faults of a chip (tests/fakes/personas.cpp): with fixed choices, and with automatic choices before and after
# `ane-train doctor --explore`. Prints the validation loss of each run, its difference from the host's, the number of restarts
# and of skipped updates, and what stopped a run that failed.
#   scripts/compare_personas.sh TEXT [PERSONA...]    default: all that are not virtual machines
# UPDATES and PROGRAM (default: the release build's ane-train-standin) may be set. A run takes about a minute on two cores.
set -euo pipefail
data=$(realpath "${1:?usage: scripts/compare_personas.sh TEXT [PERSONA...]}")
shift
cd "$(dirname "$0")/.."
program=${PROGRAM:-build/release/ane-train-standin}
[[ -x $program ]] || { scripts/setup.sh --test && scripts/build.sh release; }
program=$(realpath "$program")
[[ $# -gt 0 ]] || set -- m1 m3-ultra m4 m5 generous scarce
steps=$((12 * ${UPDATES:-200}))  # the config accumulates 12 sequences
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export STANDIN_COMPILE_MS=0 STANDIN_CLOCK=simulated STANDIN_THREADS=${STANDIN_THREADS:-$(nproc)}
export STANDIN_HOME=$folder/home XDG_CACHE_HOME=$folder/cache

# A number of the telemetry: the last record of TYPE, FIELD.
last() { sed -nE "/\"type\":\"$1\"/s/.*\"$2\":([-+0-9.e]+).*/\1/p" "$folder/out.jsonl" 2>/dev/null | tail -n 1; }

host_loss=
train() {  # PERSONA CHOICES SETTING...
  local persona=$1 choices=$2 code=0 loss change=
  shift 2
  rm -f "$folder/out.jsonl"
  STANDIN_CHIP=$persona "$program" --config shakespeare --data "$data" \
    --steps "$steps" --telemetry "$folder/out.jsonl" "$@" >"$folder/out" 2>"$folder/err" || code=$?
  loss=$(last val loss)
  : "${host_loss:=$loss}"
  [[ -z $loss ]] || change=$(awk -v a="$loss" -v b="$host_loss" 'BEGIN { printf "%+.1e", (a - b) / b }')
  [[ -z $loss ]] || loss=$(printf '%.5f' "$loss")
  printf '%-9s %-28s %4d %8s %8s %8s %8s  %s\n' "${persona:-host}" "$choices" "$code" "${loss:--}" "${change:--}" \
    "$(grep -c 'exec() restart' "$folder/out" || true)" "$(grep -c '"skipped":true' "$folder/out.jsonl" || true)" \
    "$( ((code == 0)) || grep '^ane-train: ' "$folder/err" | tail -n 1 | cut -c 12-160)"
}

printf '%-9s %-28s %4s %8s %8s %8s %8s\n' engine choices code loss change restarts skipped
train "" "host" --device host
train "" "host, --plan merged" --device host --plan merged
for persona; do
  rm -rf "$folder/cache" "$folder/home"
  mkdir -p "$folder/home"
  train "$persona" "baked" --device ane --weights baked
  train "$persona" "dynamic, packed by width" --device ane --weights dynamic --packing width
  train "$persona" "automatic" --device ane --weights auto
  STANDIN_CHIP=$persona "$program" doctor --explore >/dev/null
  train "$persona" "automatic, explored" --device ane --weights auto
done
