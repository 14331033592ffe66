#!/usr/bin/env bash
# Kills training runs at random times, also while checkpoints are written and between exec and the adoption of the state,
# resumes them until they end, and compares their parameters byte for byte with those of an undisturbed run. The same for runs on
# the stand-in for Apple's framework whose kernels are compiled by workers, which are killed as well; such a run leaves no program in
# the system's cache.
#   scripts/kill_test.sh [KILLS [SEED]]      200 kills of each kind; the tests make 20 and 12
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh
scripts/build.sh release test_app
ANE_KILLS=${1:-200} ANE_KILL_SEED=${2:-1} exec build/release/tests/test_app '[kill]'
