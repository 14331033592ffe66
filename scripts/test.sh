#!/usr/bin/env bash
# Sets up, builds and runs every test.
#   scripts/test.sh            the release build
#   scripts/test.sh --debug    assertions, reused memory poisoned with NaN
#   scripts/test.sh --asan     Clang with AddressSanitizer and UndefinedBehaviorSanitizer, poisoned as well
#   scripts/test.sh --tsan     Clang with ThreadSanitizer
#   scripts/test.sh ... -R X   further arguments go to ctest
set -euo pipefail
scripts=$(cd "$(dirname "$0")" && pwd)
preset=release
case ${1-} in
  --debug) preset=debug; shift ;;
  --asan) preset=asan; shift ;;
  --tsan) preset=tsan; shift ;;
esac
if [[ $preset == [at]san ]]; then "$scripts/setup.sh" --dev; else "$scripts/setup.sh" --test; fi
"$scripts/build.sh" "$preset"
# Clang 14 takes a thread-local block of a loaded library that begins 16 bytes after a page for one of glibc 2.19 and reads its
# bounds from before it, so that the scan for leaks crashes. Without this it finds such blocks as what the loader allocated.
[[ $preset != asan ]] || export ASAN_OPTIONS=intercept_tls_get_addr=0${ASAN_OPTIONS:+:$ASAN_OPTIONS}
[[ $preset != tsan ]] || export TSAN_OPTIONS=suppressions=$scripts/tsan.supp${TSAN_OPTIONS:+:$TSAN_OPTIONS}
jobs=$(getconf _NPROCESSORS_ONLN)
exec ctest --test-dir "$scripts/../build/$preset" --output-on-failure --progress --parallel "$jobs" "$@"
