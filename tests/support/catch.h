#pragma once

// Debian 12 has Catch2 2, Homebrew has Catch2 3; the two differ in their headers and in the namespace of Approx.
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
namespace catch_compat {
using Catch::Approx;
}
#define ANE_CONTAINS(text) Catch::Matchers::ContainsSubstring(text)
#else
#include <catch2/catch.hpp>
namespace catch_compat {
using Catch::Detail::Approx;
}
#define ANE_CONTAINS(text) Catch::Matchers::Contains(text)
#endif
