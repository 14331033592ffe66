#include <algorithm>
#include <array>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "ane/core/error.h"
#include "ane/model/adapter.h"
#include "ane/model/models.h"

#include "fuzz/support.h"

namespace fuzz {

using namespace ane;

namespace {

const model::ParameterLayout& base() {
  static const model::ParameterLayout layout = model::parameter_layout(
      {.dim = 8, .hidden = 12, .layers = 2, .heads = 2, .kv_heads = 1, .head_dim = 4, .vocab = 16, .seq_len = 4});
  return layout;
}

/// The tensors of an adapter of rank 2 for q_proj and v_proj of all layers, in both formats.
bool write_tensors(const std::filesystem::path& directory) {
  const model::Adapter adapter = {
      .rank = 2, .alpha = 4, .modules = model::modules_named(base(), std::vector<std::string>{"q_proj", "v_proj"})};
  const model::ParameterLayout layout = model::adapter_parameters(adapter, base());
  class Zeros final : public model::ParameterReader {
    void read(const model::Parameter& /*parameter*/, std::span<float> values) const override {
      std::ranges::fill(values, 0.0F);
    }
    [[nodiscard]] std::string dtype(const model::Parameter& /*parameter*/) const override { return "F32"; }
  };
  for (const auto format : {model::AdapterFormat::peft, model::AdapterFormat::mlx})
    model::write_adapter(directory, {format, "", ""}, adapter, layout, Zeros(), base());
  return true;
}

}  // namespace

/// The config of an adapter, whose tensors are beside it as PEFT and as MLX name them.
void adapter_config(Bytes json) {
  static InputFile input(model::kAdapterConfigFile);
  static const bool written = write_tensors(input.hold(json).parent_path());
  require(written, "the tensors are there");
  const std::filesystem::path directory = input.hold(json).parent_path();
  may_refuse<FileError>([&] {
    const model::AdapterSource source = model::open_adapter(directory, base());
    require(source.layout.parameters().size() == 2 * source.adapter.modules.size(), "each module has two tensors");
    require_finite(std::array{static_cast<float>(source.adapter.scale())});
    const std::string text = model::peft_config_text(source.adapter, base(), source.base_model);
    if (source.format == model::AdapterFormat::mlx) return;  // what follows reads PEFT's file
    const model::AdapterSource again =
        model::open_adapter(input.hold(std::as_bytes(std::span(text))).parent_path(), base());
    require(again.adapter.modules == source.adapter.modules, "the modules survive a round trip");
    require(again.adapter.scale() == source.adapter.scale(), "the scale survives a round trip");
    require(again.base_model == source.base_model, "the name of the model survives a round trip");
  });
}

}  // namespace fuzz
