#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

#include "ane/core/file.h"
#include "ane/data/source.h"

namespace ane::data {

enum class Order { random, sequential };
enum class Format { automatic, text, tokens, records };
/// Which part of files is held out.
enum class HeldOut {
  usual,  ///< the last tenth of text, rounded up; nothing of tokens, which are usually split already
  all     ///< everything: there are no training sequences
};

struct TokenSettings {
  std::size_t seq_len = 0;
  std::size_t vocab_size = 0;
  std::uint64_t seed = 0;
  Order order =
      Order::random;  ///< sequential: step i reads tokens i*seq_len to i*seq_len + seq_len, and starts again at the end
  bool scan = true;   ///< check every token against the vocabulary now; not needed again after a restart
  Format format = Format::automatic;
  HeldOut held_out = HeldOut::usual;  ///< of files; synthetic sources ignore it
};

/// Values of the setting `data` that do not name a file.
inline constexpr std::string_view kSynthetic = "synthetic";
inline constexpr std::string_view kStandardInput = "-";

/// The files in `list`, separated by commas, relative to `directory`. A comma in the name of an existing file does not
/// separate. Throws UsageError for an empty name.
[[nodiscard]] std::vector<std::filesystem::path> files_in_list(std::string_view list,
                                                               const std::filesystem::path& directory = {});

/// What messages call `count` files, of which `first` is one: "a.txt and 2 more files".
[[nodiscard]] std::string name_of_files(const std::string& first, std::size_t count);

/// Files of tokens (token_format.h) or of text, read as bytes, one after the other as if they were one, divided as
/// `held_out` says. `automatic` recognizes tokens by their header or the extension `.bin`, and
/// reads anything else as text. Throws FileError if a file is compressed, has a size or header that is not valid, or
/// contains a token outside the vocabulary (with its position), or if all together are too short for one sequence;
/// UsageError if only some contain tokens, or they differ in the size of a token.
[[nodiscard]] std::unique_ptr<Source> open_token_files(std::vector<RegularFile> files, const TokenSettings& settings);
/// The same for one file. Throws FileError if it cannot be read.
[[nodiscard]] std::unique_ptr<Source> open_token_file(const std::filesystem::path& path, const TokenSettings& settings);

/// A seeded first-order Markov chain over the vocabulary: each token is followed by one of eight
/// others, or of all if there are fewer, with probabilities proportional to 1, 1/2, 1/4, ... Low tokens are the
/// frequent ones. The loss floor is the exact entropy rate of the chain. Held-out samples come from the same chain.
[[nodiscard]] std::unique_ptr<Source> make_markov_source(const TokenSettings& settings);

/// x is standard normal, y the output of a fixed random two-layer network (ReLU) for x: loss floor 0. Held-out samples
/// come from the same network.
[[nodiscard]] std::unique_ptr<Source> make_teacher_source(std::size_t dim, std::size_t hidden, std::size_t seq_len,
                                                          std::uint64_t seed);

}  // namespace ane::data
