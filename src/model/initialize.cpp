#include "initialize.h"

#include <string>
#include <string_view>

#include "ane/math/random.h"

#include "formats/meta_format.h"

namespace ane::model {

namespace {

/// FNV-1a: std::hash differs between libraries, and the stream must not.
std::uint64_t hash(std::string_view text) {
  std::uint64_t value = 0xcbf29ce484222325U;
  for (const char character : text) {
    value ^= static_cast<unsigned char>(character);
    value *= 0x100000001b3U;
  }
  return value;
}

}  // namespace

void fill_normal(const Parameter& parameter, std::uint64_t seed, double deviation, std::span<float> parameters,
                 math::ThreadPool& threads) {
  const std::string& stream = parameter.meta_name.empty() ? parameter.name : parameter.meta_name;
  math::fill_normal(math::CounterRandom(seed, hash(stream)), deviation, slice(parameters, parameter), threads);
  reorder_rows_of_meta(parameter, slice(parameters, parameter));
}

void fill_uniform(const Parameter& parameter, std::uint64_t seed, double bound, std::span<float> parameters) {
  const math::CounterRandom random(seed, hash(parameter.name));
  const std::span<float> values = slice(parameters, parameter);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>((2 * random.uniform(i) - 1) * bound);
}

}  // namespace ane::model
