#!/usr/bin/env bash
# Layout (clang-format) and faults (clang-tidy).
#   scripts/lint.sh            every file
#   scripts/lint.sh --format   layout alone, which takes a second
#   scripts/lint.sh --last     every file's layout; faults in the files of the last commit (all take 20 minutes of 2 cores)
#   scripts/lint.sh FILE...    these files
set -euo pipefail
scripts=$(cd "$(dirname "$0")" && pwd)
cd "$scripts/.."
"$scripts/setup.sh" --dev

tidy=all
case ${1-} in
  --format) tidy=none; shift ;;
  --last) tidy=last; shift ;;
esac
if (($#)); then
  files=("$@")
else
  files=()
  while IFS= read -r file; do files+=("$file"); done < <(git ls-files '*.cpp' '*.h')
fi
clang-format --dry-run -Werror "${files[@]}"
echo "clang-format: ${#files[@]} files in order"
[[ $tidy != none ]] || exit 0
if [[ $tidy == last ]]; then
  git rev-parse -q --verify HEAD~1 >/dev/null || { echo "clang-tidy: no commit before this one to compare with"; exit 0; }
  files=()
  while IFS= read -r file; do files+=("$file"); done < <(git diff --name-only --diff-filter=d HEAD~1 -- '*.cpp')
fi

"$scripts/build.sh" release
sources=()
for file in "${files[@]+"${files[@]}"}"; do
  [[ $file == src/*.cpp ]] && sources+=("$file")
done
((${#sources[@]})) || exit 0
printf '%s\0' "${sources[@]}" | xargs -0 -n 4 -P "$(getconf _NPROCESSORS_ONLN)" clang-tidy --quiet -p build/release
echo "clang-tidy: ${#sources[@]} sources clean"
