#!/usr/bin/env bash
# Prints a table for choosing ANE_ACCUM_STEPS: more sequences per update mean fewer compiles and restarts, but fewer updates.
#   scripts/sweep_accum.sh [N...] [ane-train's flags]      N: values to try (default: 5 10 20 40)
# For example: scripts/sweep_accum.sh 4 16 --config stories15m --steps 160. Each N needs its share of --steps (default: 160).
set -euo pipefail
cd "$(dirname "$0")/.."

export ANE_MAX_COMPILES=${ANE_MAX_COMPILES:-100}  # the engine's default, also where the host device runs the kernels

values=()
while [[ ${1-} =~ ^[0-9]+$ ]]; do
  values+=("$1")
  shift
done
((${#values[@]})) || values=(5 10 20 40)
flags=("$@")
[[ " $* " == *" --steps"* ]] || flags+=(--steps 160)
program=${ANE_TRAIN:-build/release/ane-train}
[[ -x $program ]] || { scripts/setup.sh && scripts/build.sh release ane-train; }

figure() { sed -n "s/^$1: *//p" <<<"$report"; }

echo "| accum steps | ms/step | wall s | compile % | restarts | restart % |"
echo "|------------:|--------:|-------:|----------:|---------:|----------:|"
for accum in "${values[@]}"; do
  report=$("$program" "${flags[@]}" --accum-steps "$accum")
  wall=$(figure 'Wall time')
  compile=$(figure 'Compile time')
  restarts=$(figure 'Restarts')
  average=$(figure 'Avg train')
  printf '| %11d | %7s | %6s | %9s | %8s | %9s |\n' "$accum" "${average%% *}" \
    "$(sed 's/.*(\(.*\) s).*/\1/' <<<"$wall")" "$(sed 's/.*(\(.*\)%).*/\1/' <<<"$compile")" \
    "$(sed -e 's/.*), \([0-9]*\) of.*/\1/' -e t -e 's/.*/0/' <<<"$restarts")" "$(sed 's/.*(\(.*\)%).*/\1/' <<<"$restarts")"
done
