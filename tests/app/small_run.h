#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <string>

#include "app/program.h"

namespace cli_test {

/// A model so small that a run takes a fraction of a second. Its first update needs 6 compiles, further ones in the
/// same process 5; the validation at the end needs 2.
inline const Words kSmall = {"--device", "host",  "--dim",         "32", "--hidden",      "64", "--layers",  "1",
                             "--heads",  "2",     "--vocab",       "64", "--seq",         "32", "--threads", "1",
                             "--lr",     "0.001", "--accum-steps", "2",  "--val-samples", "2"};

inline Words operator+(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// `words` with another value for one of their flags.
inline Words with(Words words, const std::string& flag, const std::string& value) {
  *std::next(std::find(words.begin(), words.end(), flag)) = value;
  return words;
}

inline std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

}  // namespace cli_test
