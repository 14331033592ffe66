#!/usr/bin/env bash
# Trains with a restart at every update and checks from outside (/proc: Linux) that nothing grows: resident memory,
# descriptors, mappings, environment, temporary files.
#   scripts/soak.sh                       2,000 updates on the host, 300 on the stand-in for Apple's framework
#   scripts/soak.sh UPDATES PROGRAM ARGUMENT...
set -euo pipefail
shopt -s nullglob
cd "$(dirname "$0")/.."

exec {pause}<> <(:)  # never readable: reading with a timeout is a pause without a process

soak() {  # UPDATES PROGRAM ARGUMENT...
  local updates=$1 program folder settings least pid begin
  program=$(realpath "$2")
  shift 2
  folder=$(mktemp -d)
  mkdir "$folder/temporary"
  settings=(--accum-steps 1 --dim 32 --hidden 64 --layers 1 --heads 2 --vocab 64 --seq 32 --threads 2 --val-samples 1 "$@")
  # A budget of one is refused with a message that names the smallest sufficient budget.
  least=$({ "$program" --steps 1 --max-compiles 1 "${settings[@]}" 2>&1 || true; } | sed -n 's/.*Use --max-compiles \([0-9]*\).*/\1/p')
  (cd "$folder" && TMPDIR=$folder/temporary exec "$program" --steps "$updates" --max-compiles "$least" "${settings[@]}") \
    >"$folder/out" 2>"$folder/err" &
  pid=$!
  begin=$SECONDS

  local samples=() fds maps environment files statm
  while kill -0 "$pid" 2>/dev/null; do
    fds=("/proc/$pid/fd/"*)
    files=("$folder/temporary/"*)
    mapfile -t maps 2>/dev/null <"/proc/$pid/maps" || true
    read -ra statm 2>/dev/null <"/proc/$pid/statm" || true
    mapfile -d '' -t environment 2>/dev/null <"/proc/$pid/environ" || true
    samples+=("$((${statm[1]-0} * 4)) ${#fds[@]} ${#maps[@]} ${#environment[@]} ${#files[@]}")
    read -rt 0.01 -u "$pause" || true
  done
  wait "$pid" || { cat "$folder/err" >&2; return 1; }
  echo "$(basename "$program"): $(grep -c '^\[RESUMED' "$folder/out") restarts in $((SECONDS - begin)) s, ${#samples[@]} samples"
  printf '%s\n' "${samples[@]}" | awk '
    { for (i = 1; i <= 5; ++i) value[NR, i] = $i }
    END {
      split("resident_kB descriptors mappings variables temporary_files", name, " ")
      for (i = 1; i <= 5; ++i) {
        early = late = 0
        for (n = 1; n <= NR; ++n) {
          if (n <= NR / 2 && value[n, i] > early) early = value[n, i]
          if (n > NR / 2 && value[n, i] > late) late = value[n, i]
        }
        grown = late > early * 1.05 + (i == 1 ? 1024 : i == 3 ? 3 : 0)
        if (grown) failed = 1
        printf "  %-16s at most %d in the first half, %d in the second%s\n", name[i], early, late, grown ? ": GROWS" : ""
      }
      exit failed
    }'
  rm -rf "$folder"
}

if (($#)); then
  soak "$@"
else
  scripts/setup.sh --test
  scripts/build.sh release
  soak 2000 build/release/ane-train --device host
  soak 300 build/release/ane-train-standin --device ane
fi
