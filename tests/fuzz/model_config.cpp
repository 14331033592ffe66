#include <string>
#include <string_view>

#include "ane/core/error.h"
#include "ane/model/companions.h"
#include "ane/model/config.h"

#include "fuzz/support.h"

namespace fuzz {

using namespace ane;

void model_config(Bytes json) {
  const std::string_view text(reinterpret_cast<const char*>(json.data()), json.size());
  may_refuse<FileError>([&] {
    const model::ModelConfig config = model::config_from_json(text, "config.json");
    model::check_parameters(config);
    require(model::config_from_json(model::to_json(config), "again") == config, "a config survives a round trip");
    require(model::differences(config, config).empty(), "a config does not differ from itself");
    const std::string written = model::config_json_text(config, text, "BF16");
    require(model::config_from_json(written, "written") == config, "a written config.json describes the same model");
  });
}

}  // namespace fuzz
