#!/usr/bin/env bash
# Sets up, builds the release preset and runs ane-train with the given arguments: scripts/train.sh --steps 200
set -euo pipefail
scripts=$(cd "$(dirname "$0")" && pwd)
"$scripts/setup.sh"
"$scripts/build.sh" release ane-train
exec "$scripts/../build/release/ane-train" "$@"
