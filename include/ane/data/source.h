#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ane::data {

using Token = std::uint16_t;

/// What one training step sees. A language model reads `tokens`, a regression `x` and `y`; the other part stays empty.
struct Sample {
  std::vector<Token> tokens;  ///< S + 1: inputs are all but the last, targets all but the first
  std::vector<float> x;       ///< [C, S], channel-first
  std::vector<float> y;       ///< [C, S]
};

/// Where samples come from. What step i sees is a pure function of (seed, i): there is no position to save.
class Source {
 public:
  virtual ~Source() = default;
  /// One line for people: "shakespeare.txt: 1003854 bytes for training, 111540 held out".
  [[nodiscard]] virtual std::string description() const = 0;
  /// Changes when the data do: name, size, a checksum of samples of the content, and settings, for a checkpoint to
  /// compare.
  [[nodiscard]] virtual std::string identity() const = 0;
  /// Fills `sample` for training step `step`, reusing its memory. Throws FileError for a token outside the vocabulary.
  virtual void training_sample(std::uint64_t step, Sample& sample) const = 0;
  /// Held-out samples: consecutive, each once, covering all that is held out. 0 if nothing is.
  [[nodiscard]] virtual std::size_t validation_count() const { return 0; }
  virtual void validation_sample(std::size_t index, Sample& sample) const;
  /// The least mean loss that any model can reach in expectation (nats), where it is known.
  [[nodiscard]] virtual std::optional<double> loss_floor() const { return std::nullopt; }
};

}  // namespace ane::data
