#!/usr/bin/env bash
# Kills training runs at random instants, while checkpoints are written and between exec and the adopted state among them,
# resumes them until they end, and compares their parameters byte for byte with those of a run that nobody disturbed.
#   scripts/kill_test.sh [KILLS [SEED]]      200 kills; the tests make 20
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh
scripts/build.sh release test_cli
ANE_KILLS=${1:-200} ANE_KILL_SEED=${2:-1} exec build/release/tests/test_cli '[kill]'
