#!/usr/bin/env bash
# Builds into build/PRESET: scripts/build.sh PRESET [TARGET...] [-DOPTION=VALUE...]. Quiet unless it fails or is the
# first build, which shows its progress.
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
first=false
[[ -f $folder/build.ninja ]] || first=true

build() {
  if $first || ((configure)); then
    cmake --preset "$preset" "${options[@]+"${options[@]}"}" || return
  fi
  cmake --build "$folder" --target "${targets[@]}"
}

# Copies standard input to the log. Of a first build, shows each tenth that Ninja reports as "[DONE/TOTAL] ...".
record() {
  local line tenth shown=0
  $first || { cat >"$log"; return; }
  echo "building ane-train ($preset); the first build takes a few minutes" >&2
  while IFS= read -r line || [[ -n $line ]]; do
    printf '%s\n' "$line"
    [[ $line =~ ^\[([0-9]+)/([0-9]+)\] ]] || continue
    tenth=$((10 * BASH_REMATCH[1] / BASH_REMATCH[2]))
    ((tenth > shown)) || continue
    shown=$tenth
    echo "building ane-train ($preset): $((10 * tenth))%" >&2
  done >"$log"
}

if ! build 2>&1 | record; then
  cat "$log" >&2
  echo "build.sh: the $preset build failed (log: $log)" >&2
  exit 1
fi
