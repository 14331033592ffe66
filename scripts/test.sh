#!/usr/bin/env bash
# Sets up, builds and runs every test.
#   scripts/test.sh            the release build
#   scripts/test.sh --debug    assertions, reused memory poisoned with NaN
#   scripts/test.sh --asan     Clang with AddressSanitizer and UndefinedBehaviorSanitizer, poisoned as well
#   scripts/test.sh ... -R X   further arguments go to ctest
set -euo pipefail
scripts=$(cd "$(dirname "$0")" && pwd)
preset=release
case ${1-} in
  --debug) preset=debug; shift ;;
  --asan) preset=asan; shift ;;
esac
if [[ $preset == asan ]]; then "$scripts/setup.sh" --dev; else "$scripts/setup.sh" --test; fi
"$scripts/build.sh" "$preset"
# LeakSanitizer's own scan crashes now and then since a BLAS with thread-local storage is loaded at run time.
[[ $preset != asan ]] || export ASAN_OPTIONS=${ASAN_OPTIONS-detect_leaks=0}
jobs=$(getconf _NPROCESSORS_ONLN)
exec ctest --test-dir "$scripts/../build/$preset" --output-on-failure --progress --parallel "$jobs" "$@"
