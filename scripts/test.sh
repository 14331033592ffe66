#!/usr/bin/env bash
# Sets up, builds and runs every test, and says what was left out and why.
#   scripts/test.sh            the release build
#   scripts/test.sh --debug    assertions, reused memory poisoned with NaN
#   scripts/test.sh --asan     Clang with AddressSanitizer and UndefinedBehaviorSanitizer, poisoned as well
#   scripts/test.sh --tsan     Clang with ThreadSanitizer
#   scripts/test.sh ... -R X   further arguments go to ctest
set -euo pipefail
cd "$(dirname "$0")/.."
preset=release
case ${1-} in
  --debug) preset=debug; shift ;;
  --asan) preset=asan; shift ;;
  --tsan) preset=tsan; shift ;;
esac
if [[ $preset == [at]san ]]; then scripts/setup.sh --dev; else scripts/setup.sh --test; fi
scripts/build.sh "$preset"
# Clang 14 takes a thread-local block of a loaded library that begins 16 bytes after a page for one of glibc 2.19 and reads its
# bounds from before it, so that the scan for leaks crashes. Without this it finds such blocks as what the loader allocated.
[[ $preset != asan ]] || export ASAN_OPTIONS=intercept_tls_get_addr=0${ASAN_OPTIONS:+:$ASAN_OPTIONS}
[[ $preset != tsan ]] || export TSAN_OPTIONS=suppressions=$PWD/scripts/tsan.supp${TSAN_OPTIONS:+:$TSAN_OPTIONS}
status=0
ctest --test-dir "build/$preset" --output-on-failure --progress --parallel "$(getconf _NPROCESSORS_ONLN)" "$@" || status=$?

{
  cat "build/$preset/left-out.txt"
  [[ $(uname) == Darwin || $(build/$preset/ane-train --version) == *oneDNN* ]] ||
    echo "oneDNN: it is not installed, or this processor has no AVX-512; OpenBLAS computes"
  [[ -d ../shared/oracle ]] || echo "tests against reference values outside the source tree: ../shared/oracle is not here"
} | sed 's/^/left out: /'
# On Linux setup.sh has just installed what the stand-in needs.
if [[ $(uname) == Linux ]] && grep -q "stand-in.*not installed" "build/$preset/left-out.txt"; then
  echo "test.sh: without the stand-in for Apple's frameworks the bridge to them was not tested; install what it needs (above)" >&2
  exit 1
fi
exit "$status"
