#!/usr/bin/env bash
# Kills training runs at random times, also while checkpoints are written and between exec and the adoption of the state,
# resumes them until they end, and compares their parameters byte for byte with those of an undisturbed run.
#   scripts/kill_test.sh [KILLS [SEED]]      200 kills; the tests make 20
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh
scripts/build.sh release test_app
ANE_KILLS=${1:-200} ANE_KILL_SEED=${2:-1} exec build/release/tests/test_app '[kill]'
