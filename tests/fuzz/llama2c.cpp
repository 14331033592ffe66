#include <vector>

#include "ane/core/error.h"
#include "ane/model/models.h"
#include "ane/model/weight_files.h"

#include "fuzz/support.h"

namespace fuzz {

using namespace ane;

void llama2c(Bytes bytes) {
  static InputFile input("model.bin");
  const auto& path = input.hold(bytes);
  may_refuse<FileError>([&] {
    const model::ModelConfig config = model::read_llama2c_config(path);
    const model::ParameterLayout layout = model::parameter_layout(config);
    require(layout.parameter_count() * sizeof(float) <= bytes.size(), "a model is not larger than its file");
    std::vector<float> values(layout.size());
    model::read_llama2c(path, layout, values);
    require_finite(values);
  });
}

}  // namespace fuzz
