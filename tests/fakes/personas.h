#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace ane::fakes {

/// What becomes of a sum of products whose magnitude reaches Persona::overflow_limit (ane.md N2, R1, R2).
enum class Overflow : std::uint8_t {
  none,      ///< sums are exact, as on the host device
  infinite,  ///< infinity
  zero
};

/// How an engine differs from others, as far as reports describe it (ane.md 8, sections N, R and B). The stand-in plays
/// the persona that STANDIN_CHIP names.
struct Persona {
  std::string_view name;
  std::string_view chip;  ///< machdep.cpu.brand_string
  std::string_view os;    ///< kern.osproductversion
  std::string_view build;
  std::string_view architecture;
  unsigned cores = 16;

  int compile_limit = 119;   ///< compiles of a process
  int resident_limit = 127;  ///< programs loaded at once
  int compile_ms = 0;

  Overflow overflow = Overflow::none;
  float overflow_limit = 0;
  bool checks_running_sums = false;  ///< else only the whole sum counts
  bool turns_nan_infinite = false;
  float product_step = 0;      ///< products are multiples of this; 0: not rounded
  float smallest_product = 0;  ///< smaller products vanish
  float slice_limit = 0;       ///< larger magnitudes in slices that begin inside the last axis are infinite; 0: none

  std::span<const std::string_view> refused_rules = {};  ///< IDs of mil::ane_rules(): what breaks them does not compile
  bool verifies_files = false;  ///< refuses symbolic links, and a load whose files changed since the descriptor
  int power_down_seconds = 0;   ///< idle time after which the next evaluations are cancelled (0x12); 0: never
  bool is_virtual = false;      ///< a virtual machine whose host runs no programs
};

/// The first row is the stand-in without a persona.
[[nodiscard]] std::span<const Persona> personas();
/// The row of that name; the first one for "". Throws Error naming the known ones.
[[nodiscard]] const Persona& persona(std::string_view name);

}  // namespace ane::fakes
