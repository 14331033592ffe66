#!/usr/bin/env bash
# Runs clang-format and clang-tidy.
#   scripts/lint.sh            every file
#   scripts/lint.sh --format   only clang-format, which takes a second
#   scripts/lint.sh --recent   clang-format for every file; clang-tidy for the most recently changed sources within half a minute (all
#                              take half an hour on 2 cores)
#   scripts/lint.sh FILE...    these files
# Nothing is built. bench/ is included if Google Benchmark is installed (scripts/setup.sh --bench).
set -euo pipefail
scripts=$(cd "$(dirname "$0")" && pwd)
cd "$scripts/.."
"$scripts/setup.sh" --dev

tidy=all
case ${1-} in
  --format) tidy=none; shift ;;
  --recent) tidy=recent; shift ;;
esac
if (($#)); then
  files=("$@")
else
  files=()
  while IFS= read -r file; do files+=("$file"); done < <(git ls-files '*.cpp' '*.h')
fi
clang-format --dry-run -Werror "${files[@]}"
echo "clang-format: ${#files[@]} files formatted correctly"
[[ $tidy != none ]] || exit 0
bench=OFF
[[ ! -f /usr/include/benchmark/benchmark.h ]] || bench=ON
cmake --preset lint -DANE_BENCH=$bench >/dev/null
deadline=$((1 << 62))
if [[ $tidy == recent ]]; then
  deadline=$(($(date +%s) + 30))
  files=()
  while IFS= read -r file; do [[ -f $file ]] && files+=("$file"); done \
    < <(git log --name-only --pretty=format: -- '*.cpp' | awk 'NF && !seen[$0]++')
fi

sources=()
for file in "${files[@]+"${files[@]}"}"; do
  ! grep -q "\"file\": \"[^\"]*/$file\"" build/lint/compile_commands.json || sources+=("$file")
done
((${#sources[@]})) || exit 0

checked=$(mktemp)
trap 'rm -f "$checked"' EXIT
check() {
  (($(date +%s) < deadline)) || return 0
  clang-tidy --quiet -p build/lint "$1" && echo "$1" >>"$checked"
}
export -f check
export deadline checked
printf '%s\0' "${sources[@]}" | xargs -0 -n 1 -P "$(getconf _NPROCESSORS_ONLN)" bash -c 'check "$1"' check
echo "clang-tidy: $(wc -l <"$checked") of ${#sources[@]} sources checked, all clean"
