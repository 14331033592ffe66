#include "ane/cli/settings.h"
#include "ane/core/error.h"

#include "fuzz/support.h"

namespace fuzz {

using namespace ane;

void config(Bytes text) {
  static InputFile input("config.json");
  may_refuse<UsageError, FileError>([&] {
    const cli::LoadedSettings loaded = cli::load_settings({{"config", input.hold(text).string()}}, {});
    static_cast<void>(cli::describe(loaded));
    const cli::FlagValues frozen = cli::freeze(loaded.values);
    require(cli::freeze(cli::thaw(frozen)) == frozen, "settings survive a restart");
  });
}

}  // namespace fuzz
