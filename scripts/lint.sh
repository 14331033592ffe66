#!/usr/bin/env bash
# Layout (clang-format) and faults (clang-tidy).
#   scripts/lint.sh            every file
#   scripts/lint.sh --format   layout alone, which takes a second
#   scripts/lint.sh FILE...    these files
set -euo pipefail
scripts=$(cd "$(dirname "$0")" && pwd)
cd "$scripts/.."
"$scripts/setup.sh" --dev

tidy=true
if [[ ${1-} == --format ]]; then
  tidy=false
  shift
fi
if (($#)); then
  files=("$@")
else
  files=()
  while IFS= read -r file; do files+=("$file"); done < <(git ls-files '*.cpp' '*.h')
fi
clang-format --dry-run -Werror "${files[@]}"
echo "clang-format: ${#files[@]} files in order"
$tidy || exit 0

"$scripts/build.sh" release
sources=()
for file in "${files[@]}"; do
  [[ $file == src/*.cpp ]] && sources+=("$file")
done
((${#sources[@]})) || exit 0
printf '%s\0' "${sources[@]}" | xargs -0 -n 4 -P "$(getconf _NPROCESSORS_ONLN)" clang-tidy --quiet -p build/release
echo "clang-tidy: ${#sources[@]} sources clean"
