#pragma once

#include <cstdint>

#include "ane/math/random.h"

namespace ane::data {

/// Independent random streams of the sources.
enum class Stream : std::uint64_t {
  token_offset = 0x7001,
  markov_chain,
  markov_training,
  markov_held_out,
  teacher_in,
  teacher_out,
  teacher_training,
  teacher_held_out
};

[[nodiscard]] inline math::CounterRandom random_stream(std::uint64_t seed, Stream stream) noexcept {
  return {seed, static_cast<std::uint64_t>(stream)};
}

}  // namespace ane::data
