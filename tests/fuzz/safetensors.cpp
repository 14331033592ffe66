#include "ane/model/safetensors.h"

#include <vector>

#include "ane/app/model_choice.h"
#include "ane/core/error.h"

#include "fuzz/support.h"

namespace fuzz {

using namespace ane;

void safetensors(Bytes bytes) {
  static InputFile input("model.safetensors");
  const auto& path = input.hold(bytes);
  may_refuse<FileError>([&] {
    const model::SafetensorsFile file(path);
    for (const auto& [name, tensor] : file.tensors()) {
      std::vector<float> values(static_cast<std::size_t>(ane::mil::element_count(tensor.shape)));
      require(values.size() <= bytes.size(), "a tensor is not larger than its file");
      may_refuse<FileError>([&, &name = name, &tensor = tensor] {  // what is not finite
        file.read(name, tensor.shape, values);
        require_finite(values);
      });
    }
  });

  cli::LoadedSettings loaded;
  loaded.values.model = path.string();
  may_refuse<FileError>([&] {
    app::adopt_model_file(loaded);
    static_cast<void>(cli::thaw(cli::freeze(loaded.values)));
  });
  cli::Settings untouched;
  untouched.model = path.string();
  cli::FlagValues expected = cli::freeze(untouched);
  cli::FlagValues found = cli::freeze(loaded.values);
  for (const char* dimension : {"family", "dim", "hidden", "layers", "heads", "kv-heads", "head-dim", "vocab", "seq",
                                "tied", "rope-theta", "rope-scaling", "norm-eps"}) {
    expected.erase(dimension);
    found.erase(dimension);
  }
  require(found == expected, "a model file sets dimensions alone");
}

}  // namespace fuzz
