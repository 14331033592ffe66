#!/usr/bin/env bash
# Runs every test in a coverage build, and prints the line coverage of src/.
set -euo pipefail
scripts=$(cd "$(dirname "$0")" && pwd)
cd "$scripts/.."
"$scripts/setup.sh" --dev
"$scripts/build.sh" coverage
find build/coverage -name '*.gcda' -delete
ctest --test-dir build/coverage --output-on-failure --parallel "$(getconf _NPROCESSORS_ONLN)" >build/coverage/ctest.log ||
  { tail -n 40 build/coverage/ctest.log >&2; exit 1; }
gcovr --root . --filter src/ build/coverage
