#!/usr/bin/env bash
# Trains on the stand-in for Apple's framework and on the host, and compares the parameters byte for byte. The budget is set
# above the stand-in's own limit of 119 compiles, so that the limit forces the restarts.
#   scripts/check_standin.sh [TEXT]      TEXT: a text file to train the shakespeare config on, 200 updates
# PROGRAMS: a directory with both programs (default: build them)
set -euo pipefail
cd "$(dirname "$0")/.."
[[ -n ${PROGRAMS:-} ]] || { scripts/setup.sh --test && scripts/build.sh release; }
programs=$(realpath "${PROGRAMS:-build/release}")
text=${1:+$(realpath "$1")}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

check() {  # NAME ARGUMENT...
  local name=$1 one_by_one=(--parallel-sequences 1)
  shift
  [[ $* != *"--config tiny"* ]] || one_by_one=()  # an MLP has a single batch slot anyway
  ANE_MAX_COMPILES=1000 STANDIN_THREADS=2 "$programs/ane-train-standin" --device ane --threads 2 --checkpoint-dir "$name-ane" "$@" >"$name.txt"
  "$programs/ane-train" --device host --threads 2 "${one_by_one[@]+"${one_by_one[@]}"}" --checkpoint-dir "$name-host" "$@" >/dev/null
  diff <(cd "$name-ane" && sha256sum step-*/*.safetensors) <(cd "$name-host" && sha256sum step-*/*.safetensors)
  echo "$name: equal; $(grep -h '^Restarts:' "$name.txt")"
}

check tiny --config tiny --steps 1000
check tiny-dynamic --config tiny --steps 1000 --weights dynamic
for plan in split merged; do
  check "baked-$plan" --steps 200 --plan "$plan"
  check "dynamic-$plan" --steps 200 --plan "$plan" --weights dynamic
  check "channels-$plan" --steps 200 --plan "$plan" --weights dynamic --packing channels
  check "pipeline-$plan" --steps 200 --plan "$plan" --pipeline
done
check stories15m --config stories15m --steps 40 --val-samples 1
check stories15m-dynamic --config stories15m --steps 40 --val-samples 1 --weights dynamic
check stories15m-pipeline --config stories15m --steps 40 --val-samples 1 --plan merged --pipeline
if [[ -n $text ]]; then check shakespeare --config shakespeare --data "$text" --steps 2400 --val-samples 20; fi
