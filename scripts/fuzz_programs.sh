#!/usr/bin/env bash
# Compares random MIL programs of every operation on the host device with the reference interpreter, under
# AddressSanitizer and UndefinedBehaviorSanitizer.
#   scripts/fuzz_programs.sh [COUNT [SEED]]   COUNT programs (200,000) from the seed SEED (a new one) on
# A program that fails is printed with its seed and written to build/fuzz/findings/seed-N, where
# `ane-train mil build/fuzz/findings/seed-N/program.mil --run` runs it; `scripts/fuzz_programs.sh 1 N` compares it again.
set -euo pipefail
scripts=$(cd "$(dirname "$0")" && pwd)
cd "$scripts/.."
count=${1-200000}
seed=${2-$((RANDOM * 32768 + RANDOM))000000}
"$scripts/setup.sh" --dev
"$scripts/build.sh" asan test_device_host

# The first option as in test.sh. Recording shorter stacks of allocations takes a sixth off the time.
export ASAN_OPTIONS=intercept_tls_get_addr=0:malloc_context_size=2${ASAN_OPTIONS:+:$ASAN_OPTIONS}
export ANE_RANDOM_FINDINGS=$PWD/build/fuzz/findings
mkdir -p "$ANE_RANDOM_FINDINGS"
workers=$(getconf _NPROCESSORS_ONLN)
((workers <= count)) || workers=$count
running=()
for ((worker = 0; worker < workers; ++worker)); do
  first=$((seed + count * worker / workers))
  last=$((seed + count * (worker + 1) / workers))
  log=build/fuzz/programs-$worker.log
  ANE_RANDOM_SEED=$first ANE_RANDOM_PROGRAMS=$((last - first)) \
    build/asan/tests/test_device_host "random programs agree with the reference interpreter" >"$log" 2>&1 &
  running+=("$!")
done
status=0
for ((worker = 0; worker < workers; ++worker)); do
  wait "${running[worker]}" && continue
  status=1
  echo "fuzz_programs.sh: at least one finding in build/fuzz/programs-$worker.log:" >&2
  grep -a -m1 -A60 -E 'random program of seed|ERROR: AddressSanitizer|runtime error|FAILED' "build/fuzz/programs-$worker.log" >&2 || true
done
((status == 0)) && echo "$count programs from seed $seed on, no finding"
exit "$status"
