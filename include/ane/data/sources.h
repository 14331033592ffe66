#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "ane/data/source.h"

namespace ane::data {

enum class Order { random, sequential };

struct TokenSettings {
  std::size_t seq_len = 0;
  std::size_t vocab_size = 0;
  std::uint64_t seed = 0;
  Order order =
      Order::random;  ///< sequential: step i reads tokens i*seq_len to i*seq_len + seq_len, and starts again at the end
  bool scan = true;   ///< check every token against the vocabulary now; a restarted process need not do it again
};

/// A `.bin` file of little-endian uint16 tokens (mapped; nothing held out), or a `.txt` file read as bytes (the last
/// tenth, rounded up, held out). Throws FileError if it cannot be read, is too short for one sequence, has an odd size,
/// or holds a token outside the vocabulary (with its place); UsageError for another extension, with the ones there are.
[[nodiscard]] std::unique_ptr<Source> open_token_file(const std::filesystem::path& path, const TokenSettings& settings);

/// A seeded first-order Markov chain over the vocabulary (at most 65536): each token is followed by one of eight
/// others, or of all if there are fewer, with probabilities in proportion to 1, 1/2, 1/4, ... Low tokens are the
/// frequent ones. The entropy rate is that of these probabilities, exactly, and the loss floor. Held-out samples come
/// from the same chain.
[[nodiscard]] std::unique_ptr<Source> make_markov_source(const TokenSettings& settings);

/// x standard normal, y what a fixed random two-layer network (relu) makes of it: loss floor 0. Held-out samples come
/// from the same network.
[[nodiscard]] std::unique_ptr<Source> make_teacher_source(std::size_t dim, std::size_t hidden, std::size_t seq_len,
                                                          std::uint64_t seed);

}  // namespace ane::data
