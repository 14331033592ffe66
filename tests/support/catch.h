#pragma once

// Debian 12 has Catch2 2, Homebrew has Catch2 3; the two differ in their headers, and only Catch2 2 makes Approx
// global.
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
using Catch::Approx;
#define ANE_CONTAINS(text) Catch::Matchers::ContainsSubstring(text)
#else
#include <catch2/catch.hpp>
#define ANE_CONTAINS(text) Catch::Matchers::Contains(text)
#endif
