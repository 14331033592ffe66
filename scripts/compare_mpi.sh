#!/usr/bin/env bash
# Trains with Open MPI and with MPICH, on two and three ranks, and compares the parameters after 40 updates byte for byte.
#   scripts/compare_mpi.sh
# Needs both libraries as Debian installs them beside each other: openmpi-bin, libopenmpi-dev, mpich, libmpich-dev.
set -euo pipefail
cd "$(dirname "$0")/.."
for program in mpirun.openmpi mpirun.mpich mpicxx.mpich; do
  command -v "$program" >/dev/null ||
    { echo "compare_mpi.sh: $program is missing; install openmpi-bin, libopenmpi-dev, mpich and libmpich-dev" >&2; exit 1; }
done
scripts/build.sh release ane-train
scripts/build.sh mpich ane-train
programs=$PWD/build
# Open MPI refuses root and more processes than cores without these.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe  # since version 5
export OMPI_MCA_hwloc_base_binding_policy=none
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

train() {  # LAUNCHER PROGRAM RANKS NAME
  "$1" -np "$3" "$programs/$2/ane-train" --device host --threads 1 --steps 200 --accum-steps 5 --max-compiles 100 \
    --checkpoint-dir "$4" >"$4.txt" 2>&1 || { cat "$4.txt" >&2; exit 1; }
}

status=0
for ranks in 2 3; do
  train mpirun.openmpi release "$ranks" "openmpi-$ranks"
  train mpirun.mpich mpich "$ranks" "mpich-$ranks"
  for file in model first_moment second_moment; do
    cmp {openmpi,mpich}-"$ranks"/step-00000200/$file.safetensors || status=1
  done
  echo "$ranks ranks: $(sha256sum <"mpich-$ranks/step-00000200/model.safetensors" | cut -c 1-16), $(grep -c RESUMED "mpich-$ranks.txt") restarts"
done
((status)) || echo "the parameters and the optimizer's state after 40 updates are the same bytes with both libraries"
exit "$status"
