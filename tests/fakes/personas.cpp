#include "personas.h"

#include <algorithm>
#include <array>
#include <string>

#include <fmt/format.h>

#include "ane/core/error.h"

namespace ane::fakes {

namespace {

constexpr float kLargestBelow15Bits = 32752.0F;  // in fp16, the last number before 2^15
constexpr std::array<std::string_view, 2> kM1Refuses{"A4", "A28"};
constexpr std::array<std::string_view, 1> kWidthMoves{"A28"};
constexpr std::array<std::string_view, 1> kWideBoundary{"A4"};

constexpr std::array kPersonas{
    Persona{.name = "", .chip = "Apple stand-in", .os = "0.0", .build = "stand-in", .architecture = "standin"},
    Persona{.name = "m1",
            .chip = "Apple M1",
            .os = "15.6",
            .build = "24G84",
            .architecture = "h13g",
            .compile_ms = 60,
            .overflow = Overflow::infinite,
            .overflow_limit = kLargestBelow15Bits,
            .smallest_product = 0x1p-14F,
            .slice_limit = 4094,
            .refused_rules = kM1Refuses},
    Persona{.name = "m3-ultra",
            .chip = "Apple M3 Ultra",
            .os = "26.5.2",
            .build = "25F84",
            .architecture = "h15g",
            .cores = 32,
            .compile_ms = 60,
            .overflow = Overflow::zero,
            .overflow_limit = 32768,
            .checks_running_sums = true,
            .smallest_product = 0x1p-14F,
            .refused_rules = kWidthMoves},
    Persona{.name = "m4",
            .chip = "Apple M4",
            .os = "26.3",
            .build = "25D125",
            .architecture = "h16g",
            .compile_limit = 132,
            .compile_ms = 25,
            .overflow = Overflow::infinite,
            .overflow_limit = 32768,
            .checks_running_sums = true,
            .turns_nan_infinite = true,
            .product_step = 0x1p-16F},
    Persona{.name = "m5",
            .chip = "Apple M5",
            .os = "27.0",
            .build = "26A100",
            .architecture = "h17g",
            .compile_limit = 169,
            .compile_ms = 20,
            .overflow = Overflow::infinite,
            .overflow_limit = kLargestBelow15Bits,
            .refused_rules = kWideBoundary,
            .verifies_files = true,
            .power_down_seconds = 6},
    Persona{.name = "generous",
            .chip = "Apple M5 Max",
            .os = "26.5",
            .build = "25F71",
            .architecture = "h17s",
            .compile_limit = 237,
            .resident_limit = 237,
            .compile_ms = 20,
            .overflow = Overflow::infinite,
            .overflow_limit = kLargestBelow15Bits},
    // The lowest counts that were reported.
    Persona{.name = "scarce",
            .chip = "Apple M4 Pro",
            .os = "15.0",
            .build = "24A335",
            .architecture = "h16s",
            .compile_limit = 54,
            .resident_limit = 54,
            .compile_ms = 25,
            .overflow = Overflow::infinite,
            .overflow_limit = 32768},
    Persona{.name = "vm",
            .chip = "Apple M2 (Virtual)",
            .os = "15.3",
            .build = "24D60",
            .architecture = "h14g",
            .is_virtual = true},
};

}  // namespace

std::span<const Persona> personas() { return kPersonas; }

const Persona& persona(std::string_view name) {
  const auto* const found = std::ranges::find(kPersonas, name, &Persona::name);
  if (found != kPersonas.end()) return *found;
  std::string known;
  for (const Persona& each : personas().subspan(1)) known += fmt::format(" {}", each.name);
  throw Error(fmt::format("STANDIN_CHIP='{}' names no persona of the stand-in; there are{}", name, known));
}

}  // namespace ane::fakes
