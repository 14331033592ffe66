#!/usr/bin/env bash
# Builds into build/PRESET: scripts/build.sh PRESET [TARGET...] [-DOPTION=VALUE...]. Quiet unless it fails.
# Presets: release, debug, asan, tsan, fuzz, clang, coverage (CMakePresets.json).
set -euo pipefail
cd "$(dirname "$0")/.."

preset=$1
shift
targets=()
options=()
for argument in "$@"; do
  case $argument in
    -D*) options+=("$argument") ;;
    *) targets+=("$argument") ;;
  esac
done
((${#targets[@]})) || targets=(all)
configure=${#options[@]}
if command -v ccache >/dev/null; then
  options+=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
  export CCACHE_SLOPPINESS=${CCACHE_SLOPPINESS-pch_defines,time_macros}  # without it ccache refuses precompiled headers
fi

folder=build/$preset
mkdir -p "$folder"
log=$folder/build.log
if ! {
  if [[ ! -f $folder/build.ninja ]]; then
    [[ -t 2 ]] && echo "building ane-train ($preset); the first build takes a few minutes" >&2
    configure=1
  fi
  if ((configure)); then
    cmake --preset "$preset" "${options[@]+"${options[@]}"}"
  fi
  cmake --build "$folder" --target "${targets[@]}"
} >"$log" 2>&1; then
  cat "$log" >&2
  echo "build.sh: the $preset build failed (log: $log)" >&2
  exit 1
fi
