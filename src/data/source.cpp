#include "ane/data/source.h"

#include <fmt/format.h>

#include "ane/core/error.h"

namespace ane::data {

void Source::validation_sample(std::size_t index, Sample& /*sample*/) const {
  throw Error(
      fmt::format("{}: held-out sample {} was requested, but there are {}", description(), index, validation_count()));
}

}  // namespace ane::data
