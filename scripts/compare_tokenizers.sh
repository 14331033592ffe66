#!/usr/bin/env bash
# Compares ane-train's tokenizers with Hugging Face's library on a mixed text (code, eleven scripts, emoji, control characters): the
# ids and the decoded text must be equal. Also reports the speed of both, one thread each, measured in turn.
#   scripts/compare_tokenizers.sh [MEGABYTES [ROUNDS]]     default: 1 5
set -euo pipefail
scripts=$(cd "$(dirname "$0")" && pwd)
cd "$scripts/.."
"$scripts/fetch_tokenizers.sh"
"$scripts/build.sh" release ane-train
ANE_SOURCES=$(find "$PWD/src" "$PWD/scripts" -type f) scripts/compare_tokenizers.mjs build/release/ane-train build/tokenizers "${1:-1}" "${2:-5}"
