#include "ane/explore/verdicts.h"

#include <cmath>

#include "ane/core/error.h"

#include "fuzz/support.h"

namespace fuzz {

using namespace ane;

void verdicts(Bytes json) {
  may_refuse<FileError>([&] {
    const explore::Verdicts read = explore::parse_verdicts("engine.json", text_of(json));
    for (const auto& [name, finding] : read.findings)
      require(!finding.value || std::isfinite(*finding.value), "values are finite");
    const std::string written = explore::to_json(read);
    require(explore::to_json(explore::parse_verdicts("engine.json", written)) == written, "what is written is read");
  });
  static_cast<void>(explore::finding_in(text_of(json)));
}

}  // namespace fuzz
