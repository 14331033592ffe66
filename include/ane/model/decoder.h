#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "ane/data/source.h"
#include "ane/model/config.h"
#include "ane/model/frozen_parameters.h"
#include "ane/model/kernel_definition.h"
#include "ane/model/kernel_options.h"
#include "ane/model/model.h"
#include "ane/model/packed_layout.h"
#include "ane/model/parameter_reader.h"
#include "ane/surface/surface.h"

namespace ane::model {

/// Computes what follows a text, one token after another. The keys and values of earlier positions are kept on the
/// device in a cache of config.seq_len positions, the window, so that a token costs one position, and attention to the
/// cached ones. The text to continue runs through the training kernels of a whole window.
///
/// All functions throw DeviceError if a kernel fails, and DivergedError if a value is not finite.
class Decoder {
 public:
  /// `reader` reads the parameters of parameter_layout(config): at once those that the CPU uses, the others whenever
  /// kernels are compiled, one after the other; only the kernels keep those. It and the parts of `context` must outlive
  /// this. Weights are baked. Throws UsageError for a configuration that check() rejects or that is not a
  /// transformer, and FileError.
  Decoder(const ModelConfig& config, const KernelOptions& options, const ModelContext& context,
          const ParameterReader& reader);
  ~Decoder();
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  /// Compile the kernels of restart() or append(), which otherwise do so themselves, and free those of the other. Throw
  /// FileError if the parameters can no longer be read.
  void prepare_restart();
  void prepare_append();

  /// Replaces the text by `tokens`, at least one and at most a window. Returns the logits [V] of the next token, which
  /// are valid until the next call.
  std::span<const float> restart(std::span<const data::Token> tokens);
  /// Appends a token to the text, which must be shorter than the window. Returns the logits of the next one.
  std::span<const float> append(data::Token token);
  /// Number of tokens of the text.
  [[nodiscard]] std::size_t position() const noexcept { return position_; }
  [[nodiscard]] std::size_t window() const noexcept { return config_.seq_len; }

 private:
  struct Block;
  /// What the attention kernel needs to know about a position.
  struct Position {
    std::vector<float> cos, sin, mask;
  };

  void free(std::unique_ptr<Block>& block);
  void allocate_caches();
  void embed(std::span<const data::Token> tokens, Block& block);
  void normalize(Block& block, const Parameter& weight);
  void attend(Block& block, std::size_t layer, surface::Surface& input);
  void feed_forward(Block& block, std::size_t layer);
  [[nodiscard]] surface::Surface run(device::Kernel& kernel, const KernelDefinition& definition,
                                     std::span<const float> xn, surface::Surface& input);
  [[nodiscard]] Position position_tables() const;
  void write_position(const Position& here, surface::Surface& cache) const;
  void keep(const Block& block, std::size_t layer, std::vector<float>& column);
  [[nodiscard]] std::span<const float> classify(Block& block, std::size_t column);
  [[nodiscard]] const Parameter& layer_weight(std::size_t layer, std::string_view name) const;
  /// Of a parameter that the CPU uses.
  [[nodiscard]] std::span<const float> values(const Parameter& parameter) const {
    return slice(std::span<const float>(parameters_), parameter);
  }

  ModelConfig config_;
  KernelOptions options_;
  ModelContext context_;
  ParameterLayout layout_;  ///< of the parameters that the CPU uses
  std::vector<float> parameters_;
  FrozenParameters of_kernels_;   ///< the others, read when kernels are compiled
  std::size_t columns_;           ///< of the kernels of one position
  std::unique_ptr<Block> whole_;  ///< the kernels of a whole window: exist only while restart() is used
  std::unique_ptr<Block> next_;   ///< the kernels of one position: exist only while append() is used
  PackedLayout cache_layout_;
  std::vector<surface::Surface> caches_;  ///< of each layer: the input of next_'s attention kernel
  std::size_t position_ = 0;
  std::vector<float> logits_;
};

}  // namespace ane::model
