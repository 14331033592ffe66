#!/usr/bin/env bash
# Feeds hostile input to everything that reads files or text, under AddressSanitizer and UndefinedBehaviorSanitizer.
#   scripts/fuzz.sh [--minutes N] [TARGET...]   N minutes (10) for each target of tests/fuzz, then the coverage
#   scripts/fuzz.sh --short                     8 seconds each, in the build of scripts/test.sh --asan
# New inputs are kept in build/fuzz/corpus for the next run. A finding ends its target with an error and is written to
# build/fuzz/findings; move it to tests/fuzz/corpus/TARGET when it is understood.
set -euo pipefail
scripts=$(cd "$(dirname "$0")" && pwd)
cd "$scripts/.."

preset=fuzz
seconds=600
targets=()
while (($#)); do
  case $1 in
    --minutes) seconds=$((60 * $2)); shift ;;
    --short) preset=asan seconds=8 ;;
    -*) echo "fuzz.sh: unknown option '$1'; available: --minutes N, --short" >&2; exit 2 ;;
    *) targets+=("$1") ;;
  esac
  shift
done
if ! ((${#targets[@]})); then
  for folder in tests/fuzz/corpus/*/; do targets+=("$(basename "$folder")"); done
fi
"$scripts/setup.sh" --dev
"$scripts/build.sh" "$preset" "${targets[@]/#/fuzz_}"

export work=$PWD/build/fuzz programs=$PWD/build/$preset/tests seconds
mkdir -p "$work/findings" "$work/profiles"
export ASAN_OPTIONS=intercept_tls_get_addr=0${ASAN_OPTIONS:+:$ASAN_OPTIONS}  # as test.sh
[[ -w /dev/shm ]] && export TMPDIR=/dev/shm  # inputs are written to files many times per second

fuzz() {
  local target=$1 corpus=$work/corpus/$1 log=$work/$1.log extra=()
  mkdir -p "$corpus"
  [[ $target == mil ]] && extra=(tests/model/golden)
  if ! LLVM_PROFILE_FILE=$work/profiles/$target.profraw "$programs/fuzz_$target" -max_total_time="$seconds" -max_len=4096 \
    -rss_limit_mb=1024 -timeout=10 -print_final_stats=1 -artifact_prefix="$work/findings/$target-" \
    "$corpus" "tests/fuzz/corpus/$target" "${extra[@]+"${extra[@]}"}" >"$log" 2>&1; then
    grep -a -m1 -A40 -E '^==[0-9]+==|runtime error' "$log" >&2 || tail -n 40 "$log" >&2
    echo "fuzz.sh: $target has a finding in build/fuzz/findings (log: $log)" >&2
    return 1
  fi
  echo "$target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs, no finding"
}
export -f fuzz
printf '%s\n' "${targets[@]}" | xargs -P "$(getconf _NPROCESSORS_ONLN)" -I{} bash -c 'fuzz {}'

[[ $preset == fuzz ]] || exit 0
# The sources that a target is meant to cover.
sources_of() {
  case $1 in
    mil) echo src/mil src/device/host ;;
    blob) echo src/mil/blob.cpp ;;
    safetensors) echo src/model/formats/safetensors.cpp src/app/model_choice.cpp ;;
    llama2c) echo src/model/formats/llama2c.cpp src/model/config.cpp ;;
    model_config) echo src/model/formats/config_json.cpp src/model/config.cpp ;;
    model_index) echo src/model/formats/model_tensors.cpp ;;
    tokens) echo src/data/token_file.cpp src/data/token_format.cpp ;;
    records) echo src/data/tokenize/record.cpp src/data/tokenize/record_encoder.cpp src/core/line_reader.cpp \
      src/data/tokenize/tokenize.cpp ;;
    telemetry) echo src/report ;;
    tokenizer_json) echo src/text/hugging_face.cpp src/text/bpe.cpp src/text/oniguruma.cpp src/text/normalizer.cpp \
      src/text/pre_tokenizer.cpp src/text/decoder.cpp src/text/added_tokens.cpp src/text/entry.cpp ;;
    tokenizer_binary) echo src/text/llama2c.cpp src/text/sentence_piece.cpp ;;
    config) echo src/cli/settings/load_settings.cpp src/cli/settings/settings.cpp ;;
    checkpoint) echo src/train/checkpoint/trainer_file.cpp src/train/checkpoint/checkpoint.cpp ;;
    settings) echo src/cli/settings/command_line.cpp src/cli/settings/load_settings.cpp src/app/restart_context.cpp ;;
  esac
}
echo "covered lines and branches:"
for target in "${targets[@]}"; do
  llvm-profdata merge -sparse "$work/profiles/$target.profraw" -o "$work/profiles/$target.profdata"
  llvm-cov report "$programs/fuzz_$target" -instr-profile="$work/profiles/$target.profdata" >"$work/profiles/$target.txt"
  awk -v target="$target" -v sources="$(sources_of "$target")" '
    BEGIN { count = split(sources, source, " ") }
    { for (i = 1; i <= count; ++i) if (index($1, source[i])) { lines += $8; missed += $9; branches += $11; untaken += $12 } }
    END { printf "%s: %.1f%% of %d lines, %.1f%% of %d branches of %s\n", target, 100 - 100 * missed / lines, lines,
            100 - 100 * untaken / branches, branches, sources }' "$work/profiles/$target.txt"
done
