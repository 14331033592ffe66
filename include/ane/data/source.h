#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ane::data {

using Token = std::uint32_t;

/// The data of one training step. A language model reads `tokens`, a regression `x` and `y`; the other part is empty.
struct Sample {
  std::vector<Token> tokens;              ///< S + 1: the inputs are all but the last, the targets all but the first
  std::vector<float> x;                   ///< [C, S], channel-first
  std::vector<float> y;                   ///< [C, S]
  std::vector<std::uint8_t> loss_mask{};  ///< [S], 0 for a target whose loss does not count; empty: all count
};

/// A source of samples. The sample of step i is a pure function of (seed, i), so there is no position to save.
class Source {
 public:
  virtual ~Source() = default;
  /// One-line description: "shakespeare.txt: 1003854 bytes for training, 111540 held out".
  [[nodiscard]] virtual std::string description() const = 0;
  /// Identifies the data for checkpoints to compare: name, size, a checksum of parts of the content, and settings.
  [[nodiscard]] virtual std::string identity() const = 0;
  /// Fills `sample` for training step `step`, reusing its memory. Throws FileError for a token outside the vocabulary.
  virtual void training_sample(std::uint64_t step, Sample& sample) const = 0;
  /// Number of held-out samples, which cover all held-out data consecutively; 0 if there are none.
  [[nodiscard]] virtual std::size_t validation_count() const { return 0; }
  virtual void validation_sample(std::size_t index, Sample& sample) const;
  /// What the user should know before training on it, if anything.
  [[nodiscard]] virtual std::optional<std::string> warning() const { return std::nullopt; }
  /// The lowest expected mean loss that any model can reach, in nats, if known.
  [[nodiscard]] virtual std::optional<double> loss_floor() const { return std::nullopt; }
  /// Number of training tokens, if it is limited: an epoch.
  [[nodiscard]] virtual std::optional<std::size_t> training_tokens() const { return std::nullopt; }
  /// Mean number of bytes of text that a held-out token stands for, or any token if none is held out, if known.
  [[nodiscard]] virtual std::optional<double> bytes_per_token() const { return std::nullopt; }
  /// The loss of a model that knows only how often each token occurs, in nats per token; nullopt if the data are not
  /// text. Reads the data, at most 32 MB. Throws FileError.
  [[nodiscard]] virtual std::optional<double> unigram_entropy() const { return std::nullopt; }
};

}  // namespace ane::data
