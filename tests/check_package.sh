#!/usr/bin/env bash
# Packages the program of a build directory twice and checks what comes out: tests/check_package.sh BUILD_DIRECTORY
set -euo pipefail
build=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() { echo "check_package.sh: $1" >&2; exit 1; }
unpacked() { tar -xzf "$work/one/$1.tar.gz" -C "$work" && [[ -d $work/$1 ]] || fail "$1.tar.gz has no directory $1"; }

(umask 022 && scripts/package.sh --build "$build" --out "$work/one" --url https://example.org/releases >/dev/null)
sleep 1  # a clock must not be in the archives, nor the umask
(umask 077 && scripts/package.sh --build "$build" --out "$work/two" --url https://example.org/releases >/dev/null)
diff -r "$work/one" "$work/two" || fail "two runs differ"

(cd "$work/one" && sha256sum --check --strict --quiet SHA256SUMS)
(($(wc -l <"$work/one/SHA256SUMS") == 2)) || fail "SHA256SUMS does not list two archives"

version=$("$build/ane-train" --version)
number=${version#ane-train }
number=${number%%[, ]*}
program=ane-train-$number-linux-$(uname -m)
unpacked "$program"
[[ $("$work/$program/bin/ane-train" --version) == "$version" ]] || fail "the packaged program has another version"
"$work/$program/bin/ane-train" --config tiny --device host --steps 2 >/dev/null
for file in README.md LICENSE CHANGELOG.md configs/tiny.json docs/settings.md; do
  [[ -r $work/$program/$file ]] || fail "$program has no $file"
done
! command -v dpkg >/dev/null || grep -q openblas "$work/$program/PACKAGES.txt" || fail "PACKAGES.txt does not list OpenBLAS"

unpacked "ane-train-$number"
[[ $(cat "$work/ane-train-$number/packaging/commit.txt") == $(git rev-parse HEAD) ]] || fail "the sources do not name their commit"

formula=$work/one/ane-train.rb
grep -qF "url \"https://example.org/releases/ane-train-$number.tar.gz\"" "$formula" || fail "the formula has another address"
grep -qF "sha256 \"$(sha256sum <"$work/one/ane-train-$number.tar.gz" | cut -d ' ' -f 1)\"" "$formula" || fail "the formula has another checksum"
! grep -n '@' "$formula" || fail "the formula has placeholders left"
# The formula needs what setup.sh installs, except for the library of the tests.
wanted=$(sed -n 's/^homebrew=(\(.*\))$/\1/p' scripts/setup.sh | tr ' ' '\n' | grep -vx catch2 | sort)
needed=$(sed -n 's/^ *depends_on "\([^"]*\)".*/\1/p' "$formula" | sort)
diff <(echo "$wanted") <(echo "$needed") || fail "the formula's dependencies are not those of setup.sh"
