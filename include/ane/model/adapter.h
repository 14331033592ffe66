#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ane/model/parameter_reader.h"
#include "ane/model/parameters.h"

/// Low-rank adapters (LoRA, arXiv 2106.09685), and their files as PEFT and MLX write them.
namespace ane::model {

/// A low-rank adapter: for each of its modules, W x becomes W x + scale() * B (A x), with A [rank, in] and
/// B [out, rank].
struct Adapter {
  std::size_t rank = 0;
  double alpha = 0;
  bool rank_stabilized = false;  ///< the scale is alpha / sqrt(rank) (arXiv 2312.03732), not alpha / rank
  /// "model.layers.0.self_attn.q_proj", in the order of the model's layout. Layers may have different modules.
  std::vector<std::string> modules;

  [[nodiscard]] double scale() const;
};

/// The projections of a layer, which an adapter can change.
inline constexpr std::array<std::string_view, 7> kProjections = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                                                 "gate_proj", "up_proj", "down_proj"};

/// The factors of a module in an adapter: MODULE.lora_A.weight [rank, in] and MODULE.lora_B.weight [out, rank].
inline constexpr const char* kLoraA = ".lora_A.weight";
inline constexpr const char* kLoraB = ".lora_B.weight";

/// All modules of a model whose short name is one of `targets`, in the order of its layout. Throws UsageError for a
/// name that is not in kProjections.
[[nodiscard]] std::vector<std::string> modules_named(const ParameterLayout& base, std::span<const std::string> targets);

/// The adapter's tensors: for each module A, then B.
/// Throws UsageError unless the rank is at least 1 and at most the largest dimension of the adapted matrices, and for a
/// module that the model does not have.
[[nodiscard]] ParameterLayout adapter_parameters(const Adapter& adapter, const ParameterLayout& base);

/// The files of an adapter's directory.
inline constexpr const char* kAdapterConfigFile = "adapter_config.json";
inline constexpr const char* kAdapterFile = "adapter_model.safetensors";  ///< PEFT's
inline constexpr const char* kMlxAdapterFile = "adapters.safetensors";

enum class AdapterFormat { peft, mlx };

/// An adapter in a directory.
struct AdapterSource {
  std::filesystem::path directory;
  AdapterFormat format = AdapterFormat::peft;
  Adapter adapter;
  ParameterLayout layout;                   ///< adapter_parameters()
  std::unique_ptr<ParameterReader> reader;  ///< by the names and shapes of the layout, whatever the format
  std::string base_model;                   ///< what the adapter says was adapted; empty if it does not say
  std::vector<std::string> notes;           ///< for the user: what has no effect here
};

/// Opens the adapter in `directory`, of PEFT or, if its config has no `peft_type`, of MLX, for the model with the
/// layout `base`. Throws FileError for a file that is missing, damaged or of an unsupported kind, and for an adapter
/// that contradicts itself or does not fit the model.
[[nodiscard]] AdapterSource open_adapter(const std::filesystem::path& directory, const ParameterLayout& base);

/// The text of adapter_config.json as PEFT writes it. `base` is the layout of the adapted model, `base_model` its name
/// or path.
[[nodiscard]] std::string peft_config_text(const Adapter& adapter, const ParameterLayout& base,
                                           std::string_view base_model);
/// The name of an adapter's tensor in PEFT's file.
[[nodiscard]] std::string peft_name(const Parameter& parameter);

/// How an adapter is written.
struct AdapterOutput {
  AdapterFormat format = AdapterFormat::peft;
  std::string base_model;  ///< name or path of the adapted model
  std::string dtype;       ///< F32, F16 or BF16; empty: each tensor's own
};

/// Size of the tensors that write_adapter() writes.
[[nodiscard]] std::uint64_t adapter_bytes(const AdapterSource& source, const AdapterOutput& output);
/// Writes the adapter's files to an existing directory. Only one tensor is in memory at a time. `base` is the layout of
/// the adapted model. Throws FileError, also for values that are too large for the dtype.
void write_adapter(const std::filesystem::path& directory, const AdapterOutput& output, const Adapter& adapter,
                   const ParameterLayout& layout, const ParameterReader& reader, const ParameterLayout& base);

/// Adds scale * B A, computed in fp32, to the values of a parameter of the model if the adapter changes it. Throws
/// FileError for a result that is not finite.
void merge(const AdapterSource& adapter, const Parameter& parameter, std::span<float> values);

/// Reads a model with an adapter merged into it. Does not own either.
class MergedReader final : public ParameterReader {
 public:
  MergedReader(const ParameterReader& base, const AdapterSource& adapter) : base_(&base), adapter_(&adapter) {}
  void read(const Parameter& parameter, std::span<float> values) const override;
  [[nodiscard]] std::string dtype(const Parameter& parameter) const override { return base_->dtype(parameter); }

 private:
  const ParameterReader* base_;
  const AdapterSource* adapter_;
};

}  // namespace ane::model
