#!/usr/bin/env bash
# Unpacks Debian 13's PyTorch, what it needs, OpenMP's OpenBLAS and tcmalloc into build/torch/root (1 GB) for compare_torch.py.
# Nothing is installed, and root's rights are not needed. Returns at once if that is done; remove build/torch to do it again.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$PWD/build/torch
[[ ! -e $folder/complete ]] || exit 0

fail() { echo "torch_root.sh: $1" >&2; exit 1; }
for program in apt-get dpkg; do
  command -v "$program" >/dev/null || fail "unpacking Debian 13's PyTorch needs $program, which this system does not have"
done
# shellcheck source=scripts/private_root.sh
. scripts/private_root.sh
echo "torch_root.sh: unpacking Debian 13's PyTorch into build/torch (200 MB to download)" >&2
rm -rf "$folder"
mkdir -p "$folder"
unpack_packages "$folder" trixie "$(dpkg --print-architecture)" \
  python3-torch libopenblas0-openmp libtcmalloc-minimal4t64 >"$folder/log" 2>&1 ||
  fail "Debian 13's PyTorch cannot be fetched from $(mirror), where apt gets this system's packages: $(head -n 1 "$folder/log") (log: build/torch/log)"
rm -rf "$folder/apt"
touch "$folder/complete"
