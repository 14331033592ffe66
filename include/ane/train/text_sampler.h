#pragma once

#include <atomic>
#include <cstddef>
#include <optional>
#include <span>
#include <string>

namespace ane::train {

/// A prompt and how a model continues it.
struct TextSample {
  std::string prompt;
  std::string text;                       ///< without the prompt
  std::size_t tokens = 0;                 ///< of `text`
  std::optional<std::string> overflow{};  ///< why the text ended early, if so: the tensor that overflowed
};

/// Continues a text during a run, so that people see what the model has learned.
class TextSampler {
 public:
  virtual ~TextSampler() = default;
  /// The kernels must hold the weights of `parameters` for PassMode::forward. The result depends on nothing but the
  /// parameters. Ends early if `stop` becomes true. Throws DeviceError.
  [[nodiscard]] virtual TextSample sample(std::span<const float> parameters, const std::atomic<bool>& stop) = 0;
};

}  // namespace ane::train
