#!/usr/bin/env bash
# Trains on the stand-in for Apple's framework and on the host, and compares the parameters byte for byte. The stand-in's own
# limit of 119 compiles forces the restarts: the budget is set above it.
#   scripts/check_standin.sh [TEXT]      TEXT: a text file to train the shakespeare config on, 200 updates
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh --test
scripts/build.sh release
programs=$PWD/build/release
text=${1:+$(realpath "$1")}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

check() {  # NAME ARGUMENT...
  local name=$1
  shift
  ANE_MAX_COMPILES=1000 STANDIN_THREADS=2 "$programs/ane-train-standin" --device ane --threads 2 --checkpoint-dir "$name-ane" "$@" >"$name.txt"
  "$programs/ane-train" --device host --threads 2 --checkpoint-dir "$name-host" "$@" >/dev/null
  diff <(cd "$name-ane" && sha256sum step-*/*.safetensors) <(cd "$name-host" && sha256sum step-*/*.safetensors)
  echo "$name: equal; $(grep -h '^Restarts:' "$name.txt")"
}

check tiny --config tiny --steps 1000
check merged --steps 200 --plan merged
check dynamic --steps 200 --weights dynamic
check dynamic-merged --steps 200 --weights dynamic --plan merged
check tiny-dynamic --config tiny --steps 1000 --weights dynamic
check stories15m --config stories15m --steps 40 --val-samples 1
check stories15m-dynamic --config stories15m --steps 40 --val-samples 1 --weights dynamic
if [[ -n $text ]]; then check shakespeare --config shakespeare --data "$text" --steps 2400 --val-samples 20; fi
