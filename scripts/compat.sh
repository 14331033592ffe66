#!/usr/bin/env bash
# Builds and tests for another system, in build/compat/NAME:
#   scripts/compat.sh SUITE    the two commands of the README in a new root of another Debian (bookworm, trixie, sid)
#   scripts/compat.sh arm64    the tests of math, mil, the host device and the models, on an emulated processor with NEON
#   scripts/compat.sh libc++   every test, with Clang and LLVM's C++ library, as on a Mac
# Warnings are errors. Runs on Debian 12 as root; changes nothing on the system except installing the packages named below. A
# second call continues where the first one stopped; remove build/compat/NAME to start again.
set -euo pipefail
cd "$(dirname "$0")/.."
export CI=true

name=${1-}
folder=$PWD/build/compat/$name
jobs=$(getconf _NPROCESSORS_ONLN)

install() {  # PACKAGE...: what this script itself needs
  dpkg-query -W "$@" >/dev/null 2>&1 || { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@"; } >&2
}

# shellcheck source=scripts/private_root.sh
. scripts/private_root.sh

suite() {
  local root=$folder/root
  install debootstrap
  if [[ ! -e $folder/complete ]]; then
    rm -rf "$root"
    mkdir -p "$root"
    debootstrap --variant=minbase "$name" "$root" "$(mirror)" >"$folder/debootstrap.log" ||
      { tail "$folder/debootstrap.log" >&2; exit 1; }
    # A mirror may keep a state for longer than the validity period of a rolling suite.
    echo 'Acquire::Check-Valid-Until "false";' >"$root/etc/apt/apt.conf.d/compat"
    touch "$folder/complete"
  fi
  cp /etc/resolv.conf "$root/etc/resolv.conf"
  # Copies the current sources; the existing build is kept.
  mkdir -p "$root/home/ane-train"
  find "$root/home/ane-train" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
  git ls-files -z --cached --others --exclude-standard | while IFS= read -rd '' file; do [[ ! -e $file ]] || printf '%s\0' "$file"; done |
    tar -c --null --files-from=- | tar -x -C "$root/home/ane-train"
  [[ ! -d ../shared ]] || cp -rLT ../shared "$root/home/shared"
  # Mounts in a separate namespace end with it.
  unshare --mount bash -euc '
    for system in proc sys dev; do mount --rbind "/$system" "$1/$system"; done
    chroot "$1" env -i CI=true HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin bash -euc "
      cd /home/ane-train
      scripts/train.sh --steps 200
      scripts/test.sh"' suite "$root"
}

# With packages of the other architecture for the system's cross compiler.
arm64() {
  local root=$folder/root tests=(math device_host mil model)
  local openblas=$root/usr/lib/aarch64-linux-gnu/openblas-pthread/cmake/openblas
  install g++-aarch64-linux-gnu qemu-user-static
  if [[ ! -e $folder/complete ]]; then
    unpack_packages "$folder" "$codename" arm64 libc6-dev libfmt-dev libspdlog-dev libcli11-dev nlohmann-json3-dev catch2 \
      libopenblas-pthread-dev libhwy-dev libxxhash-dev libpcre2-dev libutf8proc-dev libsentencepiece-dev
    sed -i "s|/usr/|$root/usr/|" "$openblas/OpenBLASConfig.cmake"  # the only one with absolute paths
    touch "$folder/complete"
  fi
  # A processor without SVE, like Apple's.
  configure_and_build "${tests[*]/#/test_}" release -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++ \
    -DCMAKE_SYSROOT="$root" -DCMAKE_FIND_ROOT_PATH_MODE_PROGRAM=NEVER -DCMAKE_FIND_ROOT_PATH_MODE_LIBRARY=ONLY \
    -DCMAKE_FIND_ROOT_PATH_MODE_INCLUDE=ONLY -DCMAKE_FIND_ROOT_PATH_MODE_PACKAGE=ONLY -DOpenBLAS_DIR="$openblas" -DANE_STANDIN=OFF -DANE_MPI=OFF \
    "-DCMAKE_CROSSCOMPILING_EMULATOR=qemu-aarch64-static;-cpu;cortex-a76;-L;$root"
  local names
  names=$(IFS='|'; echo "${tests[*]}")
  ctest --test-dir "$folder/build" --output-on-failure --progress --parallel "$jobs" --timeout 3600 -R "^($names):"
}

# Debian compiles fmt, spdlog and SentencePiece against GCC's library, which is not ABI-compatible: here the first two are used
# header-only, like Catch2 2, and SentencePiece is built from its source. Xcode 15 is based on LLVM 16.
libcxx() {
  local sentencepiece=$folder/sentencepiece
  scripts/setup.sh --test
  install clang-16 libc++-16-dev libc++abi-16-dev dpkg-dev
  if [[ ! -e $folder/complete ]]; then
    rm -rf "$sentencepiece"
    unpack_source "$sentencepiece" sentencepiece
    cmake -S "$sentencepiece/source" -B "$sentencepiece/build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
      -DCMAKE_CXX_COMPILER=clang++-16 -DCMAKE_CXX_FLAGS="-stdlib=libc++ -w" >"$folder/sentencepiece.log"
    cmake --build "$sentencepiece/build" --target sentencepiece >>"$folder/sentencepiece.log"
    touch "$folder/complete"
  fi
  configure_and_build all release -DCMAKE_CXX_COMPILER=clang++-16 \
    "-Dane_sentencepiece_headers=$sentencepiece/source/src" \
    "-Dane_sentencepiece_library=$sentencepiece/build/src/libsentencepiece.so" "-DCMAKE_INSTALL_RPATH=$sentencepiece/build/src" \
    "-DCMAKE_CXX_FLAGS=-stdlib=libc++ -DFMT_HEADER_ONLY -USPDLOG_COMPILED_LIB -USPDLOG_SHARED_LIB"
  ctest --test-dir "$folder/build" --output-on-failure --progress --parallel "$jobs"
}

configure_and_build() {  # TARGETS PRESET OPTION...
  local targets=$1 preset=$2
  shift 2
  mkdir -p "$folder"
  command -v ccache >/dev/null && set -- "$@" -DCMAKE_CXX_COMPILER_LAUNCHER=ccache
  cmake --preset "$preset" -B "$folder/build" "$@" >"$folder/configure.log" 2>&1 || { cat "$folder/configure.log" >&2; exit 1; }
  # shellcheck disable=SC2086
  cmake --build "$folder/build" --target $targets >"$folder/build.log" 2>&1 || { cat "$folder/build.log" >&2; exit 1; }
}

case $name in
  bookworm | trixie | sid) suite ;;
  arm64) arm64 ;;
  libc++) libcxx ;;
  *) echo "compat.sh: unknown name '$name'; available: bookworm, trixie, sid, arm64, libc++" >&2; exit 2 ;;
esac
echo "compat.sh: $name passes"
