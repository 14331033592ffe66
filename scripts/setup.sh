#!/usr/bin/env bash
# Installs missing packages. Silent and immediate if there are none.
#   scripts/setup.sh          packages for building ane-train
#   scripts/setup.sh --test   also those for the tests of the Apple bridge on Linux and of the Python scripts
#   scripts/setup.sh --bench  also those for bench.sh
#   scripts/setup.sh --dev    also those for lint.sh, coverage.sh, fuzz.sh, crosscheck-macos.sh, a Clang
#                           build and the benchmarks' build
set -euo pipefail

# SentencePiece 0.2.2 includes Abseil's headers, but its Debian package does not depend on them.
debian=(g++ cmake ninja-build libcli11-dev libspdlog-dev libfmt-dev nlohmann-json3-dev catch2 libopenblas-pthread-dev libhwy-dev libxxhash-dev
  libpcre2-dev libutf8proc-dev libsentencepiece-dev libabsl-dev libopenmpi-dev openmpi-bin)
# Optional libraries, used if available: name prefixes, because each release has its own version suffix.
debian_optional=(libdnnl)
debian_test=(gobjc libgnustep-base-dev python3)
debian_bench=(libbenchmark-dev)
debian_dev=(clang libclang-rt-dev llvm clang-format clang-tidy gcovr libbenchmark-dev)
homebrew=(cmake ninja cli11 spdlog fmt nlohmann-json catch2 highway xxhash pcre2 utf8proc sentencepiece abseil open-mpi)
homebrew_bench=(google-benchmark)
homebrew_dev=(llvm gcovr google-benchmark)

test=false
bench=false
dev=false
for argument in "$@"; do
  case $argument in
    --test) test=true ;;
    --bench) bench=true ;;
    --dev) test=true dev=true ;;
    *) echo "setup.sh: unknown option '$argument'; available: --test, --bench, --dev" >&2; exit 2 ;;
  esac
done

# The newest package whose name is $1 followed by a version.
numbered() { { grep -xE "$1[0-9][0-9.]*" || true; } | sort -V | tail -n 1; }

install_debian() {
  local wanted=("${debian[@]}") missing=() installed package
  $test && wanted+=("${debian_test[@]}")
  $bench && wanted+=("${debian_bench[@]}")
  $dev && wanted+=("${debian_dev[@]}")
  $dev && ! command -v npm >/dev/null && wanted+=(npm)  # Node.js may come from elsewhere, with its own npm
  installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p')
  for package in "${wanted[@]}"; do
    grep -qxF -- "$package" <<<"$installed" || missing+=("$package")
  done
  if ((${#missing[@]})); then
    echo "setup.sh: installing ${missing[*]}" >&2
    as_root apt-get update -qq >&2
    apt_install "${missing[@]}"
  fi
  for package in "${debian_optional[@]}"; do
    [[ -z $(numbered "$package" <<<"$installed") ]] || continue
    package=$(apt-cache pkgnames "$package" | numbered "$package")
    [[ -n $package ]] || continue  # not in this release
    echo "setup.sh: installing $package" >&2
    apt_install "$package" || echo "setup.sh: continuing without $package, which is optional" >&2
  done
}

apt_install() { as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2; }

as_root() {
  if ((EUID == 0)); then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    echo "setup.sh: installing needs root or sudo" >&2
    return 1
  fi
}

install_homebrew() {
  local wanted=("${homebrew[@]}") missing=() installed package
  $bench && wanted+=("${homebrew_bench[@]}")
  $dev && wanted+=("${homebrew_dev[@]}")
  installed=$(brew list --formula -1)
  for package in "${wanted[@]}"; do
    grep -qx -- "$package" <<<"$installed" || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  echo "setup.sh: installing ${missing[*]}" >&2
  HOMEBREW_NO_AUTO_UPDATE=1 brew install --quiet "${missing[@]}" >&2
}

if command -v dpkg-query >/dev/null && command -v apt-get >/dev/null; then
  install_debian
elif [[ $(uname) == Darwin ]]; then
  command -v brew >/dev/null || { echo "setup.sh: Homebrew is needed: see https://brew.sh" >&2; exit 1; }
  install_homebrew
else
  echo "setup.sh: neither apt nor Homebrew found; install a C++20 compiler, CMake 3.25, Ninja, CLI11, spdlog, fmt," \
    "nlohmann-json, Catch2, OpenBLAS, Highway, xxHash, PCRE2, utf8proc and SentencePiece yourself" >&2
fi
