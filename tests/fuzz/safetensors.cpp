#include "ane/model/safetensors.h"

#include <cmath>
#include <vector>

#include "ane/cli/model_choice.h"
#include "ane/core/error.h"

#include "fuzz/support.h"

namespace fuzz {

using namespace ane;

void safetensors(Bytes bytes) {
  static InputFile input("model.safetensors");
  const auto& path = input.hold(bytes);
  try {
    const model::SafetensorsFile file(path);
    for (const auto& [name, tensor] : file.tensors()) {
      std::vector<float> values(static_cast<std::size_t>(ane::mil::element_count(tensor.shape)));
      require(values.size() <= bytes.size(), "a tensor is not larger than its file");
      try {
        file.read(name, tensor.shape, values);
        for (const float value : values) require(std::isfinite(value), "values are finite");
      } catch (const FileError&) {  // not finite
      }
    }
  } catch (const FileError&) {
  }

  cli::LoadedSettings loaded;
  loaded.values.model = path.string();
  try {
    cli::adopt_model_file(loaded);
    static_cast<void>(cli::thaw(cli::freeze(loaded.values)));
  } catch (const FileError&) {
  }
}

}  // namespace fuzz
