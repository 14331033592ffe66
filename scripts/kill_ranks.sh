#!/usr/bin/env bash
# Kills random processes (a trainer, a rank process, mpirun) of runs on two and three ranks at random times, checks that all
# others end, resumes the runs until they finish, and compares their parameters byte for byte with those of undisturbed runs.
#   scripts/kill_ranks.sh [KILLS [SEED]]      50 kills; the tests make 6
# Needs Linux and MPI.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh
scripts/build.sh release test_app
ANE_KILLS=${1:-50} ANE_KILL_SEED=${2:-1} exec build/release/tests/test_app '[kill_ranks]'
