#!/usr/bin/env bash
# Makes the files of a release in build/package:
#   ane-train-VERSION-linux-ARCH.tar.gz   the program for this system, with README, licence, changes, configs and documents
#   ane-train-VERSION.tar.gz              the sources of the last commit, from which Homebrew builds
#   ane-train.rb                          the Homebrew formula (packaging/ane-train.rb) with version, address and checksum
#   SHA256SUMS                            the checksums of the two archives
# There is no archive with a program for macOS: scripts/crosscheck-macos.sh links with stubs of Homebrew's libraries, so that what
# it makes shows that the sources compile, but does not start on a Mac.
#   scripts/package.sh [--url URL] [--out DIR] [--build DIR]
#   --url URL     the address of the directory in which the source archive will be; default: that of DIR, for a try on this machine
#   --out DIR     default: build/package
#   --build DIR   packages the program that is already in this directory; otherwise the release preset is built
# The program is linked with this system's libraries; the archive's PACKAGES.txt lists the packages that it needs.
# Two runs on the same program and commit make the same bytes.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { echo "package.sh: $1" >&2; exit "${2-1}"; }

url=
out=build/package
build=
while (($#)); do
  [[ $1 == --url || $1 == --out || $1 == --build ]] || fail "unknown option '$1'; available: --url, --out, --build" 2
  (($# > 1)) || fail "$1 needs a value" 2
  declare "${1#--}=$2"
  shift 2
done
[[ $(uname) == Linux ]] || fail "archives are made on Linux"
git rev-parse HEAD >/dev/null 2>&1 || fail "no commit: archives are made in a clone, not from a source archive"
git diff --quiet HEAD || echo "package.sh: warning: uncommitted changes are not in the source archive" >&2
if [[ -z $build ]]; then
  scripts/build.sh release ane-train
  build=build/release
fi

version=$(sed -n 's/^project(ane-train VERSION \([0-9.]*\) .*/\1/p' CMakeLists.txt)
name=ane-train-$version
program=$name-linux-$(uname -m)
time=$(git log -1 --format=%ct)
mkdir -p "$out"
out=$(cd "$out" && pwd)
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT

# The packages of the libraries that a program is linked with, and of those that it opens when it starts.
packages() {
  local library
  { ldd "$1" | sed -n 's/.* => \(\/[^ ]*\).*/\1/p'
    grep -aoE '/[[:alnum:]/._-]*lib(openblas|dnnl)[[:alnum:]._-]*\.so[.0-9]*' "$1"
  } | while read -r library; do
    dpkg -S "$(readlink -f "$library")" 2>/dev/null || dpkg -S "*/$(basename "$library")" 2>/dev/null || true
  done | sed 's/[:,].*//' | sort -u
}

# Sorted names, no owner, the time of the commit, the same permissions whatever the umask.
archive() {  # DIRECTORY
  tar -C "$stage" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$time" --mode=u+rwX,go+rX,go-w --format=ustar -cf - "$1" |
    gzip -9 -n >"$out/$1.tar.gz"
}

cmake --install "$build" --strip --prefix "$stage/$program" >/dev/null
cp -R README.md LICENSE CHANGELOG.md configs docs "$stage/$program"
if command -v dpkg >/dev/null; then
  packages "$stage/$program/bin/ane-train" >"$stage/$program/PACKAGES.txt"
fi
archive "$program"
git archive --format=tar --prefix="$name/" HEAD | gzip -9 -n >"$out/$name.tar.gz"

cd "$out"
sha256sum "$name.tar.gz" "$program.tar.gz" >SHA256SUMS
checksum=$(sed -n "s/  $name.tar.gz$//p" SHA256SUMS)
cd - >/dev/null
sed -e "/^#/d" -e "s|@URL@|${url:-file://$out}/$name.tar.gz|" -e "s|@VERSION@|$version|" -e "s|@SHA256@|$checksum|" \
  packaging/ane-train.rb >"$out/ane-train.rb"
ls -1 "$out/$program.tar.gz" "$out/$name.tar.gz" "$out/ane-train.rb" "$out/SHA256SUMS"
